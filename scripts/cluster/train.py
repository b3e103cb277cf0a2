"""A run as a script, for `ray submit CLUSTER.yaml scripts/cluster/train.py --out s3://bucket/runs/x rounds=2000`.

It is played on the cluster that the script is started on. Change it as you like: this is raygan from Python.
"""

import argparse

import raygan

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="config keys, by their dotted paths")
parser.add_argument("--out", required=True, help="run folder: a URI, or a path on the head node")
parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
arguments = parser.parse_args()

config = raygan.load_config("digits", ["engine.address=auto", *arguments.words])
result = raygan.train(config, arguments.out, resume=arguments.resume)
print(f"{result.round} rounds; {arguments.out} holds the run folder; the last line: {result.rows[-1]}")
