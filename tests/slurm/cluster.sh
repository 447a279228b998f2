#!/usr/bin/env bash
# A Slurm cluster of this one machine for as long as a command runs: cluster.sh COMMAND...
# Needs root and Debian's packages slurm-wlm and munge, which it installs; everything it writes goes to a folder of its
# own, ports and sockets too, so that a Slurm that the machine may already have is not touched.
set -euo pipefail

command -v slurmctld >/dev/null && command -v munged >/dev/null || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq slurm-wlm munge >/dev/null
}
folder=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$folder"
}
trap finish EXIT

host=$(hostname -s)
cores=$(nproc --all)  # without it OMP_NUM_THREADS would count
memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 512))
mkdir "$folder/state" "$folder/spool"
dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
chmod 600 "$folder/munge.key"
# cgroup/v1, linuxproc and task/none: what runs in a container too.
cat >"$folder/slurm.conf" <<CONF
ClusterName=fmcvqa
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MpiDefault=none
MailProg=/bin/true
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
echo "CgroupPlugin=cgroup/v1" >"$folder/cgroup.conf"
export SLURM_CONF=$folder/slurm.conf

munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" 2>/dev/null &
pids+=($!)
for _ in $(seq 50); do [ -S "$folder/munge.socket" ] && break || sleep 0.1; done
slurmctld -D 2>/dev/null &
pids+=($!)
slurmd -D -N "$host" 2>/dev/null &
pids+=($!)
for _ in $(seq 100); do
    sinfo --noheader --states=idle 2>/dev/null | grep -q "$host" && ready=1 && break || sleep 0.3
done
if [ -z "${ready:-}" ]; then
    echo "cluster.sh: Slurm does not come up" >&2
    tail -n 20 "$folder"/*.log >&2
    exit 1
fi
"$@"
