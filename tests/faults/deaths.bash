# What suites of deaths ask of shims, containers and logs (with cri/daemon.bash).
#
# shellcheck shell=bash

shim_of() { jq -r .pid "$dir/state/pods/$1/shim.json"; }

# the shim of the pod is another one than this, and answers
successor_of() { # pod, old pid
	for _ in $(seq 200); do
		new=$(shim_of "$1" 2>/dev/null)
		[ -n "$new" ] && [ "$new" != "$2" ] && [ -d "/proc/$new" ] && return 0
		sleep 0.02
	done
	echo "no shim after $2" >&2
	return 1
}

pid_of() { crictl inspect "$1" | jq -r .info.pid; }

# the numbers of a counting container's log rise by one from 1; only what it was killed in may be unfinished
whole_log() { # file
	awk 'unfinished || ($3 == "F" && ($4 != "line" || $5 != ++n || NF != 10)) {
		print FILENAME ":" NR ": " $0; bad = 1; exit
	     }
	     $3 == "P" { unfinished = 1 }
	     END { if (!bad && n < 1) print "no line"; exit bad || n < 1 }' "$1"
}

nothing_left() {
	for _ in $(seq 100); do left=$(leftovers); [ -z "$left" ] && return 0; sleep 0.05; done
	echo "$left"
	return 1
}
