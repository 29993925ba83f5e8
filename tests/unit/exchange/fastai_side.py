"""What fastai itself makes of our files and of a model of its own; runs in fastai's environment, not in this one.

    python fastai_side.py FOLDER

Reads `ours.pth` and `tokens.pt`, and writes `outputs.pt` (decoder outputs of fastai's model with our weights), then
`theirs.pth` and `theirs.pt` (a language model of fastai's own and its outputs), `clas.pth` and `clas.pt` (a
classifier).
"""

import sys
from pathlib import Path

import torch
from fastai.text.learner import clean_raw_keys
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
from fastai.text.models.core import get_language_model, get_text_classifier

folder = Path(sys.argv[1])
tokens = torch.load(folder / "tokens.pt")
ours = torch.load(folder / "ours.pth", weights_only=True)
sizes = {
    "emb_sz": ours["0.encoder.weight"].shape[1],
    "n_hid": ours["0.rnns.0.weight_hh_l0_raw"].shape[1],
    "n_layers": sum(name.endswith("weight_hh_l0_raw") for name in ours),
}
vocabulary = len(ours["0.encoder.weight"])


def randomise(model: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(3)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.4)
        if name.endswith("running_var"):
            tensor.abs_().add_(0.1)
    return model.eval()


with torch.no_grad():
    model = get_language_model(AWD_LSTM, vocabulary, config={**awd_lstm_lm_config, **sizes}).eval()
    model.load_state_dict(clean_raw_keys(dict(ours)))
    model.reset()
    torch.save(model(tokens)[0], folder / "outputs.pt")

    model = randomise(get_language_model(AWD_LSTM, vocabulary, config={**awd_lstm_lm_config, **sizes}))
    torch.save({"model": model.state_dict(), "opt": {}}, folder / "theirs.pth")
    model.reset()
    torch.save(model(tokens)[0], folder / "theirs.pt")

    model = randomise(get_text_classifier(AWD_LSTM, vocabulary, 3, config={**awd_lstm_clas_config, **sizes}))
    torch.save(model.state_dict(), folder / "clas.pth")
    model.reset()
    torch.save(model(tokens)[0], folder / "clas.pt")
