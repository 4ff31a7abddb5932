#!/opt/celery-autoscaler/venv/bin/python
"""python autoscale.py: asks for a pass now, and prints what it did. Beat does so by itself."""

import sys

from celery.exceptions import TimeoutError as NoAnswer

from autoscaler_app import autoscale

if __name__ == "__main__":
    try:
        print(autoscale.delay().get(timeout=60))
    except NoAnswer:
        sys.exit("no pass within a minute; `systemctl status celery-control` says how the control worker is")
