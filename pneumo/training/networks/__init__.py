"""Networks: backbones, their weights, and what is put on them."""
