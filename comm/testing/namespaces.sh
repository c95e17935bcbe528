#!/usr/bin/env bash
# Ranks on hosts of their own: network namespaces that one bridge joins, with loss, delay and reordering where the kernel has netem,
# and a cable that is pulled. Exit code 77, with the reason, where namespaces are not allowed; without netem the rest is done.
#
# usage: namespaces.sh FLAGOS_COMM_RANK [SEED]
set -euo pipefail

program=$1
seed=${2:-${FLAGOS_TEST_SEED:-$RANDOM}}
hosts=3
prefix=flagos$$
folder=$(mktemp -d)
chmod 700 "${folder}"
ranks=()

skip() {
  echo "skipped: $1"
  exit 77
}

cleanup() {
  local rank i
  for rank in "${ranks[@]}"; do kill -KILL "${rank}" 2>/dev/null || true; done
  for ((i = 0; i < hosts; ++i)); do ip netns del "${prefix}-${i}" 2>/dev/null || true; done
  ip netns del "${prefix}-bridge" 2>/dev/null || true
  rm -rf "${folder}"
}
trap cleanup EXIT

if ! command -v ip >/dev/null || ! command -v tc >/dev/null; then skip "there is no ip or tc (iproute2) on this machine"; fi
ip netns add "${prefix}-bridge" 2>"${folder}/error" || skip "network namespaces are not allowed: $(cat "${folder}/error")"
ip -n "${prefix}-bridge" link add bridge0 type bridge 2>"${folder}/error" || skip "no bridge: $(cat "${folder}/error")"
ip -n "${prefix}-bridge" link set bridge0 up
for ((i = 0; i < hosts; ++i)); do
  host=${prefix}-${i}
  ip netns add "${host}"
  ip -n "${prefix}-bridge" link add "port${i}" type veth peer name eth0 netns "${host}"
  ip -n "${prefix}-bridge" link set "port${i}" master bridge0 up
  ip -n "${host}" addr add "10.77.0.$((i + 1))/24" dev eth0
  ip -n "${host}" link set lo up
  ip -n "${host}" link set eth0 up
done

# start SCENARIO... : a rank on each host, whose words go to a file
start() {
  local i
  ranks=()
  rm -f "${folder}"/rank* "${folder}/id"
  for ((i = 0; i < hosts; ++i)); do
    ip netns exec "${prefix}-${i}" env RANK="${i}" WORLD_SIZE="${hosts}" FLAGOS_COMM_FILE="${folder}/id" \
      FLAGOS_COMM_INTERFACE=eth0 FLAGOS_COMM_TRANSPORT=tcp FLAGOS_COMM_TIMEOUT_MS="${timeout_ms}" \
      "${program}" "${i}" "${hosts}" cpu "$@" >"${folder}/rank${i}" &
    ranks+=($!)
  done
}

# expect TEXT RANK... : what ranks must have said
expect() {
  local text=$1 i
  shift
  for i in "$@"; do
    grep -q -- "${text}" "${folder}/rank${i}" && continue
    echo "rank ${i} said '$(cat "${folder}/rank${i}")', not '${text}' (seed ${seed})"
    exit 1
  done
}

all=(0 1 2)
timeout_ms=60000
start random "${seed}" 30 100000
wait "${ranks[@]}" || true
expect ok "${all[@]}"
echo "random operations between ${hosts} hosts: ok (seed ${seed})"

# A cable is pulled: who is behind it is named by all others.
timeout_ms=2000
start stop 99 0 100000000
sleep 3
ip -n "${prefix}-1" link set eth0 down
wait "${ranks[@]}" || true
expect "status=FLAGOS_STATUS_COMM_TIMEOUT" 0 2
expect "rank 1, which does not answer" 0 2
echo "a cable that is pulled: $(sed 's/.*text=//' "${folder}/rank0")"

for ((i = 0; i < hosts; ++i)); do
  ip -n "${prefix}-${i}" link set eth0 up
  tc -n "${prefix}-${i}" qdisc add dev eth0 root netem delay 2ms 1ms loss 1% reorder 20% 2>"${folder}/error" ||
    {
      echo "loss and delay are not tried: the kernel has no netem: $(cat "${folder}/error")"
      exit 0
    }
done
timeout_ms=60000
start random "${seed}" 15 50000
wait "${ranks[@]}" || true
expect ok "${all[@]}"
echo "random operations with loss, delay and reordering: ok"
