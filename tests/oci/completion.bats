# Completion, executed by the shells themselves: commands, options, and ids of the records meant.

setup() {
	load lib
	oci_setup
	only_ours "its own"
	mkdir -p "$T/bin" "$T/home"
	ln -s "$(realpath "$RUNTIME")" "$T/bin/caisson-oci"
	PATH=$T/bin:$PATH
	spec '.process.args=["sleep","100"]'
	start_c1
}

teardown() { oci_teardown; }

# offered WORDS…: what the shell under test says for the last one, one a line
agrees() {
	[ "$(offered caisson-oci che)" = checkpoint ]
	[ "$(offered caisson-oci --log x del)" = delete ]
	[ "$(offered caisson-oci exec --pidfd)" = --pidfd-socket ]
	[ "$(offered caisson-oci --root "$ROOT" kill "")" = c1 ]
	offered caisson-oci -- | grep -qx -- --systemd-cgroup
	[ "$(offered caisson-oci update --cpuset-c)" = --cpuset-cpus ]
	[ -z "$(offered caisson-oci update --pid-file-of-nobody)" ]
	# the value of an option is a file
	touch "$T/home/file-to-find"
	offered caisson-oci exec --process "$T/home/file-to" | grep -q 'file-to-find$'
}

@test "bash completes" {
	caisson-oci completion bash >"$T/script"
	offered() (
		# shellcheck disable=SC1091
		. "$T/script"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
		_caisson_oci
		printf '%s\n' "${COMPREPLY[@]}"
	)
	agrees
}

@test "fish completes" {
	command -v fish >/dev/null || skip "no fish"
	caisson-oci completion fish >"$T/script"
	offered() { HOME=$T/home fish --no-config -c "source $T/script; complete -C '$*'" 3>&- | cut -f 1; }
	agrees
}

@test "zsh completes" {
	command -v zsh >/dev/null || skip "no zsh"
	mkdir -p "$T/functions"
	caisson-oci completion zsh >"$T/functions/_caisson-oci"
	# a shell in a terminal of its own, whose compadd also writes what it is told
	cat >"$T/home/.zshrc" <<-Z
		PS1='> '
		fpath=($T/functions \$fpath)
		autoload -Uz compinit
		compinit -D -u
		compadd() {
			local -a found
			[[ " \$* " == *\ -[AOD]\ * ]] || builtin compadd -O found "\$@"
			(( \$#found )) && print -rl -- "\$found[@]" >>$T/found
			builtin compadd "\$@"
		}
		complete-and-say() { zle complete-word; : >$T/done }
		zle -N complete-and-say
		bindkey '^I' complete-and-say
		: >$T/ready
	Z
	offered() {
		rm -f "$T/found" "$T/done" "$T/ready"
		timeout 60 env HOME="$T/home" ZDOTDIR="$T/home" T="$T" LINE="$*" zsh -f -c '
			zmodload zsh/zpty
			zpty z zsh -i
			wait_for() { repeat 1000; do [[ -e $1 ]] && return; sleep 0.02; done }
			wait_for $T/ready
			zpty -w -n z "$LINE"$'"'\\t'"'
			wait_for $T/done
			zpty -d z' 3>&-
		[ -e "$T/done" ] || return 1
		[ ! -e "$T/found" ] || sort -u "$T/found"
	}
	agrees
}

@test "a shell that is none of these is refused" {
	run caisson-oci completion tcsh
	[ "$status" -eq 1 ]
	[[ "$output" == *"bash, zsh, fish"* ]]
}
