"""Losses, negatives and their probabilities, the training loop; pretrain and finetune."""
