# gulmfit in a container.
#   docker build -t gulmfit .                                      for CPUs
#   docker build -t gulmfit:gpu --build-arg DEVICE=gpu .           with CUDA; start it with `docker run --gpus all`
#   docker run --rm -v "$PWD:/data" gulmfit gulmfit-train data.path=labelled.csv run.name=mine
#   docker run --rm -v "$PWD:/data" gulmfit gulmfit-predict model=outputs/classify/mine input=new.fa output=new.tsv
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# cpu or gpu: which build of torch. uv knows where each lies.
ARG DEVICE=cpu
# Extras of pyproject.toml. `genes` is left out: pyrodigal is under the GPL.
ARG EXTRAS=parquet,tokenize,tracks,search,hub,onnx

ENV VIRTUAL_ENV=/opt/gulmfit
ENV PATH=/opt/gulmfit/bin:$PATH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY conf conf
COPY gulmfit gulmfit
RUN python -m venv "$VIRTUAL_ENV" \
    && pip install --no-cache-dir uv==0.13.9 \
    && case "$DEVICE" in \
         cpu) torch=(--torch-backend cpu) ;; \
         gpu) torch=() ;; \
         *) echo "DEVICE=$DEVICE: give cpu or gpu" >&2; exit 1 ;; \
       esac \
    && uv pip install --no-cache "${torch[@]}" --constraint constraints.txt ".[$EXTRAS]" \
    && gulmfit --version

# Whoever runs it may be anybody (docker run --user): what is written while it runs goes to /data, or to /tmp.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
# No entry point: workflow managers start a shell.
CMD ["gulmfit", "--help"]
