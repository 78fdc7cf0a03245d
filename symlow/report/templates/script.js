"use strict";
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A browser may refuse the clipboard to a file: then a field with the text is copied, the old way.
    const field = document.createElement("textarea");
    field.value = text;
    field.style.position = "fixed";
    field.style.opacity = "0";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
function select(element) {
  const details = element.closest("details");
  if (details) details.open = true;
  window.getSelection().selectAllChildren(element);
}
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    const status = document.getElementById("status");
    const done = await copied(source.textContent);
    if (done) button.focus();
    else select(source);
    button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
    status.textContent = button.textContent;
    window.setTimeout(() => { button.textContent = button.dataset.label; status.textContent = ""; }, 2000);
  });
}
// Equations that are wider than their place scroll, and are reached by keys while they do.
function letScroll() {
  for (const box of document.querySelectorAll(".equation")) {
    const scrolls = box.scrollWidth > box.clientWidth;
    for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", "Equation"]]) {
      if (scrolls) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  }
}
letScroll();
window.addEventListener("resize", letScroll);
// On a narrow screen the contents begin folded.
if (window.matchMedia("(max-width: 70rem)").matches) {
  document.querySelector("nav details").open = false;
}
