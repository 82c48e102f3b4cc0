# What the launchers share. PYTHON: the interpreter of the environment; PORT: of the ranks; SERVER_PORT: of vLLM.
PYTHON=${PYTHON:-python}
PORT=${PORT:-29500}
SERVER_PORT=${SERVER_PORT:-8000}

# Prints a value of a configuration: config_value CONFIG EXPRESSION, where c is the configuration.
config_value() {
    "$PYTHON" -c "import sys; sys.path.insert(0, '.'); from rl.config.read import load_config
c = load_config(sys.argv[1], []); print($2)" "$1"
}

# Prints the command of the server of a configuration over so many GPUs: server_command CONFIG GPUS. Weights arrive over
# NCCL before each rollout (docs/engines.md).
server_command() {
    local model length
    model=$(config_value "$1" c.model.path)
    length=$(config_value "$1" "c.rollout.vllm.max_model_len or c.rollout.max_prompt_tokens + max(c.rollout.max_new_tokens, c.evaluation.max_new_tokens)")
    echo "VLLM_SERVER_DEV_MODE=1 vllm serve $model --host 0.0.0.0 --port $SERVER_PORT --max-model-len $length" \
        "--tensor-parallel-size $2 --weight-transfer-config '{\"backend\": \"nccl\"}'"
}

# Waits until a server answers, at most an hour: wait_for_server HOST.
wait_for_server() {
    local end=$((SECONDS + ${SERVER_WAIT:-3600}))
    until curl -sf "http://$1:$SERVER_PORT/health" > /dev/null; do
        if [ $SECONDS -ge $end ]; then echo "error: no server at $1:$SERVER_PORT" >&2; return 1; fi
        sleep 5
    done
}
