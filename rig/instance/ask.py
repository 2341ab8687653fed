"""Calls one operation of an AWS service, and prints its answer as JSON: `ask.py <service> <operation>`, with the
arguments as JSON on standard input. For services that the rig asks too seldom for a client of their own."""

import json
import sys

import boto3

service, operation = sys.argv[1:]
answer = getattr(boto3.client(service), operation)(**json.load(sys.stdin))
answer.pop("ResponseMetadata", None)
json.dump(answer, sys.stdout, default=str)
