"""Prints what TensorBoard itself reads from a directory of event files, as one JSON object: tag -> list of [step, value]."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=True)
events.Reload()
result = {tag: [[event.step, event.value] for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
print("EVENTS " + json.dumps(result))
