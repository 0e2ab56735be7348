#!/usr/bin/env bash
# What one would guess: a CloudEvent that one official SDK writes, another official SDK reads. JSON
# that is handed over as bytes, with the content type application/json, is put in as JSON.
# Versions: cloudevents 2.2.0 (PyPI), github.com/cloudevents/sdk-go/v2 v2.16.2.
# What happens: an extension with an integer of 2^31 or more (a sequence number, a time in
# milliseconds) is written by Python as a number and refused by Go, whole event and all, for the
# specification's Integer has 32 bits. And bytes of JSON become `data_base64` in both SDKs, with the
# content type application/json beside it.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: send large numbers in extensions as strings, or inside data; hand over objects, not
# encoded JSON; readers must decode data_base64 before they look for fields.
# Needs: go 1.26, python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check cloudevents==2.2.0

cat >"$dir/EXPECTED" <<'END'
Go reads: error <nil>, extensions map[seq:2147483647]
Go reads: error cannot convert 2.147483648e+09 to int32: out of range, extensions map[]
Go reads: error <nil>, extensions map[]
Go writes bytes of JSON: {"specversion":"1.0","id":"1","source":"/shop","type":"order.created","datacontenttype":"application/json","data_base64":"eyJvcmRlciI6MX0="}
END

cat >"$dir/try.py" <<'END'
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

EVENT = {"id": "1", "source": "/shop", "type": "order.created", "specversion": "1.0"}
JSON = {"datacontenttype": "application/json"}
for more, data in (({"seq": 2**31 - 1}, {}), ({"seq": 2**31}, {}), (JSON, b'{"order":1}')):
    text = JSONFormat().write(CloudEvent({**EVENT, **more}, data)).decode()
    assert ('"data_base64": "eyJvcmRlciI6MX0="' in text) == isinstance(data, bytes), text
    print(text)
END

cat >"$dir/main.go" <<'END'
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var event cloudevents.Event
		err := json.Unmarshal(lines.Bytes(), &event)
		fmt.Printf("Go reads: error %v, extensions %v\n", err, event.Extensions())
	}
	event := cloudevents.NewEvent()
	event.SetID("1")
	event.SetSource("/shop")
	event.SetType("order.created")
	_ = event.SetData("application/json", []byte(`{"order":1}`))
	text, _ := json.Marshal(event)
	fmt.Printf("Go writes bytes of JSON: %s\n", text)
}
END

cd "$dir"
go mod init finding 2>"$dir/log"
go get github.com/cloudevents/sdk-go/v2@v2.16.2 2>>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
"$dir/venv/bin/python" "$dir/try.py" | go run . | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: an SDK reads or writes otherwise than on 2026-11-29" >&2; exit 1; }
