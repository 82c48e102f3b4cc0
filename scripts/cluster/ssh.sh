#!/usr/bin/env bash
# Plain ssh: ranks on HOSTS (default: this machine), and where SERVER_GPUS is set, vLLM on the last so many GPUs of the
# last host. All hosts see the same folder under the same path. Never run on more than this machine's shell: no other was
# at hand.
#   HOSTS="node1 node2" scripts/cluster/ssh.sh CONFIG [section.key=value …]
#   SERVER_GPUS=4 scripts/cluster/ssh.sh configs/recipes/qwen3-8b-4-and-4.yaml
#   PRINT=1 …   prints the commands and runs none
set -euo pipefail
. scripts/cluster/common.sh
config=$1; shift
gpus=${GPUS_PER_NODE:-8}
serving=${SERVER_GPUS:-0}
read -r -a hosts <<< "${HOSTS:-localhost}"
last=${hosts[-1]}

# on HOST COMMAND: there, in this folder, or here.
on() {
    if [ -n "${PRINT:-}" ]; then echo "$1: $2"; return; fi
    if [ "$1" = localhost ]; then bash -c "$2"; else ssh "$1" "cd $(printf %q "$PWD") && $2"; fi
}

# visible FIRST COUNT: the numbers of so many GPUs.
visible() { seq -s , "$1" $(($1 + $2 - 1)); }

arguments=("$config" "$@")
training=$gpus
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true' EXIT
if [ "$serving" -gt 0 ]; then
    if [ ${#hosts[@]} -gt 1 ] && [ "$serving" != "$gpus" ]; then
        echo "error: SERVER_GPUS is $serving; allowed: $gpus, a whole host of several" >&2; exit 2
    fi
    first=$((gpus - serving))
    on "$last" "CUDA_VISIBLE_DEVICES=$(visible $first "$serving") $(server_command "$serving" "$config" "$@")" &
    pids+=($!)
    [ -n "${PRINT:-}" ] && wait "${pids[0]}"
    [ -n "${PRINT:-}" ] || wait_for_server "$last"
    arguments+=("rollout.vllm.server_url=http://$last:$SERVER_PORT")
    if [ "$first" -gt 0 ]; then training=$first; else unset 'hosts[-1]'; fi
fi
ranks=()
for index in "${!hosts[@]}"; do
    command="CUDA_VISIBLE_DEVICES=$(visible 0 "$training") $PYTHON -m torch.distributed.run --nnodes=${#hosts[@]}"
    command+=" --node_rank=$index --nproc_per_node=$training --master_addr=${hosts[0]} --master_port=$PORT"
    command+=" scripts/train.py$(printf ' %q' "${arguments[@]}")"
    on "${hosts[$index]}" "$command" &
    ranks+=($!)
    pids+=($!)
    [ -n "${PRINT:-}" ] && wait "${ranks[-1]}"
done
failed=0
for pid in "${ranks[@]}"; do wait "$pid" || failed=1; done
exit $failed
