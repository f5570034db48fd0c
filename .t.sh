timeout 100 .venv/bin/python -m pytest -q -p no:cacheprovider "$@" 2>&1 | grep -E "^(E  |FAILED|ERROR|[0-9]+ )"
