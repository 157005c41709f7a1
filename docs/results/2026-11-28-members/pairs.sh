for i in 1 2 3 4 5 6; do for s in 1 4; do
  rm -rf pair-$s
  merit train --env smax/3m --algo mappo --steps 65536 --envs 64 --set rollout=128 --set eval_every=0 --seeds $s --out pair-$s > log.txt 2>&1
  sed "s/^{/{\"pair\":$i,\"seeds\":$s,/" pair-$s/timing.jsonl
done; done
