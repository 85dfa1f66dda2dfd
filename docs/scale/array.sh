#!/bin/bash
# An array of 64 parts for Slurm; then: sbatch --dependency=afterok:ID --wrap 'kpl embed --join /lustre/feat'
#SBATCH --job-name=kpl-embed
#SBATCH --array=0-63
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --requeue
set -euo pipefail
export KPL_HOME=/lustre/home/kpl # one for all nodes: the key that names medical files lies in it
parts=$((SLURM_ARRAY_TASK_MAX + 1))
srun kpl embed /lustre/manifest.csv --encoder mini --out /lustre/feat --part "$SLURM_ARRAY_TASK_ID/$parts"
