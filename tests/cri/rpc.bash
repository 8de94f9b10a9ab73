# RPCs by plain messages, for what crictl has no command for. Needs daemon.bash and protoc.

# rpc_stream METHOD [TEXT-MESSAGE [OPTIONS]]: all messages of the stream as one
rpc_stream() {
	local service=RuntimeService
	[[ $1 == *Image* ]] && service=ImageService
	protoc -I "$repo/schema" --encode="runtime.v1.$1Request" cri.proto <<<"${2:-}" >"$dir/request" || return 3
	"$build/tests/cri-call" -s ${3:-} "$socket" "/runtime.v1.$service/$1" <"$dir/request" >"$dir/response" || return 1
	protoc -I "$repo/schema" --decode="runtime.v1.$1Response" cri.proto <"$dir/response"
}

# rpc METHOD [TEXT-MESSAGE [OPTIONS]]: prints the answer as text
rpc() {
	local service=RuntimeService
	[[ $1 == *Image* ]] && service=ImageService
	protoc -I "$repo/schema" --encode="runtime.v1.$1Request" cri.proto <<<"${2:-}" >"$dir/request" || return 3
	"$build/tests/cri-call" ${3:-} "$socket" "/runtime.v1.$service/$1" <"$dir/request" >"$dir/response" || return 1
	protoc -I "$repo/schema" --decode="runtime.v1.$1Response" cri.proto <"$dir/response"
}
