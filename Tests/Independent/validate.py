"""Checks networks against the schema: python validate.py SCHEMA NETWORK...    needs: pip install jsonschema"""
import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def main(schema, networks):
    schema = json.loads(pathlib.Path(schema).read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for network in networks:
        for error in validator.iter_errors(json.loads(pathlib.Path(network).read_text())):
            sys.exit(f"{network}: {error.json_path}: {error.message}")
        print(f"{network}: as the schema says")
    # A schema that takes everything would not be noticed.
    wrong = {"input": {"channels": 1, "height": 8, "width": 8}, "layers": [
        {"name": "conv0", "type": "conv2d", "channels": 4, "kernel": 3, "strides": 2}]}
    if validator.is_valid(wrong):
        sys.exit(f"{schema['title']}: takes a convolution with 'strides'")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
