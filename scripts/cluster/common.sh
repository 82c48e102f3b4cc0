# What the launchers share. PYTHON: the interpreter of the environment; PORT: of the ranks; SERVER_PORT: of vLLM.
PYTHON=${PYTHON:-python}
PORT=${PORT:-29500}
SERVER_PORT=${SERVER_PORT:-8000}

# Prints a value of a configuration: config_value EXPRESSION CONFIG [section.key=value …], where c is the configuration.
config_value() {
    "$PYTHON" -c "import sys; sys.path.insert(0, '.'); from rl.config.read import load_config
from rl.config.schema import longest_response
c = load_config(sys.argv[1], sys.argv[2:]); print($1)" "${@:2}"
}

# Prints the command of the server of a configuration over so many GPUs: server_command GPUS CONFIG [section.key=value …].
# Weights arrive over NCCL before each rollout (docs/engines.md).
server_command() {
    local model length
    model=$(config_value c.model.path "${@:2}")
    length=$(config_value "c.rollout.vllm.max_model_len or c.rollout.max_prompt_tokens + max(longest_response(c), c.evaluation.max_new_tokens)" "${@:2}")
    echo "VLLM_SERVER_DEV_MODE=1 vllm serve $model --host 0.0.0.0 --port $SERVER_PORT --max-model-len $length" \
        "--tensor-parallel-size $1 --weight-transfer-config '{\"backend\": \"nccl\"}'"
}

# Waits until a server answers, at most an hour: wait_for_server HOST.
wait_for_server() {
    local end=$((SECONDS + ${SERVER_WAIT:-3600}))
    until curl -sf "http://$1:$SERVER_PORT/health" > /dev/null; do
        if [ $SECONDS -ge $end ]; then echo "error: no server at $1:$SERVER_PORT" >&2; return 1; fi
        sleep 5
    done
}
