"""What the primer (notebook 00) teaches with: sampling, texts, a small experiment, knobs to turn, exercises."""
