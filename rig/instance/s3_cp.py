"""`aws [--region R] s3 cp [options] s3://<bucket>/<key> <file>`, by boto3 and with nothing but what the instance's
metadata service gives, as the AWS CLI does it (AWS CLI Command Reference, "s3 cp")."""

from __future__ import annotations

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

WITH_VALUE = ("--region", "--cli-connect-timeout", "--cli-read-timeout", "--checksum-mode")


def main(arguments: list[str]) -> int:
    """Copies one object to a file."""
    words: list[str] = []
    region = None
    rest = iter(arguments)
    for word in rest:
        if word in WITH_VALUE:
            value = next(rest)
            region = value if word == "--region" else region
        elif not word.startswith("--"):
            words.append(word)
    match words:
        case ["s3", "cp", source, target] if source.startswith("s3://"):
            bucket, _, key = source.removeprefix("s3://").partition("/")
        case _:
            print(f"rig: no such command here: aws {' '.join(arguments)}", file=sys.stderr)
            return 252
    style = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2})
    try:
        client = boto3.client("s3", region_name=region, config=style)
        client.download_file(bucket, key, target)
    except (BotoCoreError, ClientError) as fault:
        print(f"fatal error: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
