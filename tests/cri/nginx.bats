# A real image, of several layers and in all formats, from a real registry to a page that is
# served and back to nothing.

load ../lib/load

setup_file() { suite_start; }
teardown_file() { suite_stop; }
setup() { leak_mark; }
teardown() {
	pods_clear
	leak_check && images_clear
}

@test "the whole way: pull, run, look, stop, remove" {
	# image
	cri pull "$(image nginx:1)"
	digest=$(registry_digest nginx:1)
	[ -n "$digest" ]
	cri images | grep "$REGISTRY/nginx" | grep -q ' 1 '
	info=$(cri inspecti "$(image nginx:1)")
	id=$(jq -r .status.id <<<"$info")
	same "$(jq -r '.status.repoTags[0]' <<<"$info")" "$REGISTRY/nginx:1"
	same "$(jq -r '.status.repoDigests[0]' <<<"$info")" "$REGISTRY/nginx@$digest"
	[ "$(jq -r .status.size <<<"$info")" -gt 1000000 ]
	same "$id" "$(registry_manifest nginx:1 | jq -r .config.digest)" "the image's id is its config's digest"
	cri pull "$REGISTRY/nginx@$digest"
	same "$(cri images -q | wc -l)" 1 "one image under two names"
	imagefs() { cri imagefsinfo | jq -e '.status.imageFilesystems[0] | (.usedBytes.value | tonumber) > 1000000 and .fsId.mountpoint != ""'; }
	eventually 15 imagefs

	# pod
	pod=$(run_pod web)
	cri pods --name web -q | grep -q "${pod:0:13}"
	same "$(cri inspectp "$pod" | jq -r .status.state)" SANDBOX_READY
	same "$(cri inspectp "$pod" | jq -r .status.labels.app)" web
	same "$(cri inspectp "$pod" | jq -r .status.annotations.note)" "a test"
	ip=$(ip_of "$pod")
	[[ $ip == 10.88.* ]]

	# container
	ctr=$(create_container "$pod" "$(image nginx:1)")
	same "$(state_of "$ctr")" CONTAINER_CREATED
	[ -z "$(cri ps -q)" ]
	same "$(cri ps -aq --no-trunc)" "$ctr"
	cri start "$ctr"
	same "$(state_of "$ctr")" CONTAINER_RUNNING
	same "$(cri inspect "$ctr" | jq -r .status.image.image)" "$REGISTRY/nginx:1"
	pid=$(pid_of "$ctr")
	has "$(tr '\0' ' ' <"/proc/$pid/cmdline")" nginx
	eventually 5 fetch -o "$WORK/page" "http://$ip/"
	same "$(cat "$WORK/page")" "caisson test page"
	same "$(fetch "http://$ip/hostname")" web

	# its environment, directory and signal are the image's
	has "$(cri exec -s "$ctr" env)" FROM_IMAGE=yes
	same "$(readlink "/proc/$pid/cwd")" /srv/www
	same "$(cri exec -s "$ctr" cat /etc/hostname)" web
	same "$(cri exec -s "$ctr" pwd)" /srv/www
	fails cri exec -s "$ctr" sh -c 'exit 7'
	has "$output" 7
	# crictl prints both to its stdout
	has "$(cri exec -s "$ctr" sh -c 'echo out; echo err >&2')" out
	has "$(cri exec -s "$ctr" sh -c 'echo out; echo err >&2')" err
	cri stats "$ctr" | grep -q "${ctr:0:13}"
	cri stats -o json "$ctr" | jq -e '.stats[0] | (.cpu.usageCoreNanoSeconds.value | tonumber) > 0 and (.memory.workingSetBytes.value | tonumber) > 0'

	# log
	has "$(cri logs "$ctr")" "GET / HTTP/1.1"
	same "$(cri logs --tail 1 "$ctr" | wc -l)" 1
	grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+) (stdout|stderr) [FP] ' "$(log_file web)"

	# end, by the image's STOPSIGNAL: nginx says so, and exits 0
	cri stop -t 10 "$ctr"
	same "$(state_of "$ctr")" CONTAINER_EXITED
	same "$(exit_code_of "$ctr")" 0
	same "$(reason_of "$ctr")" Completed
	has "$(cri logs "$ctr" 2>&1)" "signal 3 (SIGQUIT) received"
	fails fetch "http://$ip/"
	[ ! -d "/proc/$pid" ]
	cri rm "$ctr"
	[ -z "$(cri ps -aq)" ]
	cri stopp "$pod"
	same "$(cri inspectp "$pod" | jq -r .status.state)" SANDBOX_NOTREADY
	cri stopp "$pod"
	cri rmp "$pod"
	[ -z "$(cri pods -q)" ]
	cri rmi "$(image nginx:1)"
	[ -z "$(cri images -q)" ]
}

# What overlay must show of the four layers, whatever they were packed in.
check_content() { # container
	local root pid
	pid=$(pid_of "$1")
	root=/proc/$pid/root
	# whiteouts of a file and a directory
	[ ! -e "$root/etc/removed-later" ]
	[ ! -e "$root/srv/removed-dir" ]
	# nothing of the way they are written in a layer
	[ -z "$(find "$root/etc" "$root/srv" "$root/usr" -name '.wh.*' -print -quit)" ]
	# an opaque directory shows only its own
	same "$(ls "$root/srv/opaque")" new
	same "$(cat "$root/etc/replaced")" new
	same "$(stat -c %a "$root/etc/replaced")" 600
	same "$(cat "$root/srv/dir-to-file")" "now a file"
	same "$(cat "$root/srv/file-to-dir/inside")" "now a directory"
	# hard links: all applets one inode, and the pair of the third layer
	same "$(stat -c %i "$root/bin/sh")" "$(stat -c %i "$root/bin/busybox")"
	[ "$(stat -c %h "$root/bin/busybox")" -gt 200 ]
	same "$(stat -c %h "$root/usr/share/doc/nginx/copyright")" 2
	# modes, owners, links, long names, attributes
	same "$(stat -c %a "$root/tmp")" 1777
	same "$(stat -c %u:%g "$root/home/app")" 1002:1002
	same "$(readlink "$root/var/log/nginx/access.log")" /dev/stdout
	long=$(printf 'long%.0s' $(seq 20))
	same "$(cat "$root/usr/share/$long/$long/$long/name")" long
	same "$(getfattr --only-values -n user.marked --absolute-names "$root/usr/share/nginx/marked")" yes
	same "$(stat -c %Y "$root/srv/www/index.html")" 1700000000
}

run_format() { # tag
	cri pull "$(image "nginx:$1")"
	pod=$(run_pod web)
	ctr=$(run_container "$pod" "$(image "nginx:$1")")
	eventually 5 fetch -o /dev/null "http://$(ip_of "$pod")/"
	check_content "$ctr"
}

@test "OCI, gzip" { run_format 1; }

@test "OCI, two layers in zstd, one in gzip, one plain" { run_format mixed; }

@test "Docker schema 2" { run_format docker; }

@test "an OCI index: the entry for this machine, not the first" { run_format multi; }

@test "a Docker manifest list: the entry for this machine, not the first" { run_format docker-multi; }

@test "the same content under several names and formats is unpacked once" {
	for tag in 1 latest docker multi; do
		cri pull "$(image nginx:$tag)"
	done
	# the config is the same JSON in OCI's and Docker's clothes only if skopeo kept its bytes
	ids=$(cri images -q | wc -l)
	[ "$ids" -le 2 ]
	cri inspecti "$(image nginx:1)" | jq -e '.status.repoTags | length >= 2'
	only_ours
	same "$(find "$ROOT/layers" -name index.html -path '*/srv/www/*' | wc -l)" 1 "copies of the last layer"
}

@test "the image's user: by name, with its groups" {
	cri pull "$(image busybox:user)"
	same "$(cri inspecti "$(image busybox:user)" | jq -r .status.username)" app
	pod=$(run_pod users)
	ctr=$(run_container "$pod" "$(image busybox:user)")
	pid=$(pid_of "$ctr")
	same "$(status_of "$pid" Uid | tr -s '\t ' ' ' | sed 's/^ //')" "1002 1002 1002 1002"
	same "$(status_of "$pid" Gid | tr -s '\t ' ' ' | sed 's/^ //')" "1002 1002 1002 1002"
	# of the image's /etc/group; containerd 1.6 leaves staff out
	for g in $(ours && echo 50) 2000; do
		has " $(status_of "$pid" Groups | tr -s '\t ' ' ') " " $g "
	done
}

@test "removing the image under a running container leaves the container whole" {
	cri pull "$(image nginx:1)"
	pod=$(run_pod web)
	ctr=$(run_container "$pod" "$(image nginx:1)")
	cri rmi "$(image nginx:1)" || true
	eventually 5 fetch -o "$WORK/page" "http://$(ip_of "$pod")/"
	same "$(cri exec -s "$ctr" cat /etc/replaced)" new
	same "$(cri exec -s "$ctr" wc -l /etc/passwd | tr -s ' ' | cut -d' ' -f1)" 4
}

@test "logs -f follows until the container ends" {
	need_image busybox:1
	pod=$(run_pod logs)
	ctr=$(run_container "$pod" "$(image busybox:1)" . sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done')
	timeout 20 bash -c "$(declare -f cri in_node); cri logs -f $ctr" >"$WORK/followed"
	same "$(cat "$WORK/followed")" "$(printf 'line %s\n' 1 2 3 4 5)"
	same "$(cri logs --tail 2 "$ctr")" "$(printf 'line %s\n' 4 5)"
}
