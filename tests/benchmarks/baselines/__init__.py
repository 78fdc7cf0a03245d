"""What a good practitioner would write without symlow: loss and gradient of the reduced dynamics, three times over."""
