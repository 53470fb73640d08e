"""Networks trained on ImageNet as functions from images to feature maps, with weights read from files."""
