"""Pure, jitted loss functions: one value per example, logits in, information in nats."""
