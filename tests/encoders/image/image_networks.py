"""Small networks of timm and torchvision, built as encoders, and pictures for them."""

import torch
from pictures import encoded, noise

from fusionlab.encoders.contract import ENCODERS

SMALL = {"size": 64}
RESNET = {"name": "image_timm", "model": "resnet10t", "steps": SMALL}
VIT = {"name": "image_timm", "model": "vit_tiny_patch16_224", "steps": SMALL}
SWIN = {"name": "image_timm", "model": "swin_tiny_patch4_window7_224", "steps": {"size": 112}}
MOBILE = {"name": "image_torchvision", "model": "mobilenet_v2", "steps": SMALL}
RESNET18 = {"name": "image_torchvision", "model": "resnet18", "steps": SMALL}
ALL = [RESNET, VIT, MOBILE, RESNET18]
IMAGES = [noise(90, 70, seed=seed) for seed in range(4)]


def built(options, **more):
    more = more if "weights" in more else {"pretrained": False, **more}
    return ENCODERS.parse({**options, **more}).build().eval()


def batch_of(encoder, images=IMAGES):
    return encoder.collate([encoder.prepare(encoded(image)) for image in images])


@torch.no_grad()
def features(encoder, images=IMAGES):
    return encoder(batch_of(encoder, images))


def named(options):
    return options["model"]
