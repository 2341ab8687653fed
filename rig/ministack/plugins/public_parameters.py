"""Public parameters that name machine images.

AWS: everybody can read /aws/service/ami-amazon-linux-latest/..., one parameter for each architecture, and a
template's parameter of type AWS::SSM::Parameter::Value<AWS::EC2::Image::Id> becomes the image's id (Systems
Manager User Guide, "Calling AMI public parameters in Parameter Store").
MiniStack: knows the x86-64 image of Amazon Linux 2023 only.
Here: the arm64 image as well.
"""

from __future__ import annotations

from ministack.services import ssm

TARGETS = {"ministack.services.ssm:_public_parameter": "512c8624b0a1c8d7"}

IMAGES = {"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64": "ami-0a64a2023b1c2d3e4"}


def apply() -> None:
    """Adds the images; one that MiniStack has by now is a reason to drop it here."""
    known = sorted(IMAGES.keys() & ssm._PUBLIC_AMI_PARAMETERS.keys())
    if known:
        raise ValueError(f"plug-in public_parameters: MiniStack has {', '.join(known)} itself by now")
    ssm._PUBLIC_AMI_PARAMETERS.update(IMAGES)
