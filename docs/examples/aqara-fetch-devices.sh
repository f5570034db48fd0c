#!/bin/sh
# Fetches the device list of an Aqara Open API endpoint into devices.json: the array alone, whole or not at all.
# Needs curl and python3.   AQARA_ENDPOINT_URL=... AQARA_OPEN_API_TOKEN=... sh aqara-fetch-devices.sh [FILE]
set -eu
: "${AQARA_ENDPOINT_URL:?set it to the address of the endpoint}"
: "${AQARA_OPEN_API_TOKEN:?set it to the token}"
file=${1:-devices.json}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
# The token goes through standard input: every user of the machine can read command lines.
printf 'header = "Authorization: Bearer %s"\n' "$AQARA_OPEN_API_TOKEN" | curl --config - --silent --show-error \
    --fail --max-time 30 --max-filesize 2097152 --header 'Content-Type: application/json' --output "$answer" \
    --data "{\"type\":\"GetAllDevicesWithSpaceRequest\",\"version\":\"v1\",\"msgId\":\"fetch-$(date +%s)-$$\"}" \
    "$AQARA_ENDPOINT_URL"
python3 - "$answer" "$file" <<'PYTHON'
import json, os, sys, tempfile

answer_file, file = sys.argv[1:]
with open(answer_file, encoding="utf-8") as opened:
    answer = json.load(opened)
if answer.get("code") != 0 or not isinstance(answer.get("data"), list):
    sys.exit(f"no device list: code {answer.get('code')}, {answer.get('message')}")
descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(file)))
with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
    json.dump(answer["data"], opened, ensure_ascii=False, indent=1)
    opened.flush()
    os.fsync(opened.fileno())
os.replace(temporary, file)
print(f"{len(answer['data'])} devices in {file}")
PYTHON
