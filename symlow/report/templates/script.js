"use strict";
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    const text = source.textContent;
    const status = document.getElementById("status");
    let copied = false;
    try {
      await navigator.clipboard.writeText(text);
      copied = true;
    } catch {
      // A browser may refuse the clipboard to a file: then the text is selected, and copied the old way.
      const details = source.closest("details");
      if (details) details.open = true;
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      copied = document.execCommand("copy");
    }
    const label = button.dataset.label;
    button.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
    status.textContent = button.textContent;
    window.setTimeout(() => { button.textContent = label; status.textContent = ""; }, 2000);
  });
}
// On a narrow screen the contents begin folded.
if (window.matchMedia("(max-width: 70rem)").matches) {
  document.querySelector("nav details").open = false;
}
