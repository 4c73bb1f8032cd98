"""Images to features: robust reading, inspectable steps, pixels, timm and torchvision models."""
