"""Files of weights: three forms read alike, nothing in them run, every bad one refused."""

import io
import json
import os
import pickle
import re
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from weight_files import (
    WRITERS,
    pack_pickles,
    pack_zip,
    pickled,
    write_pickles,
    write_safetensors,
    write_zip,
)

from kart_jax.errors import InputError
from train.networks import weight_file

BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
TENSORS = {
    "whole": BASE * 0.5 - 3.0,
    "turned": BASE.transpose(2, 0, 1),  # strides out of order
    "part": BASE[1, 1:],  # begins inside its storage
    "single": np.array(-2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "double": np.array([1.5, -0.25]),
    "half": np.array([1.5, -0.25, 65504.0], np.float16),
    "count": np.array(7, np.int64),
}


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_back_what_was_written(tmp_path, form):
    WRITERS[form](tmp_path / "file", TENSORS)
    found = weight_file.read(tmp_path / "file")
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].shape == array.shape
        assert found[name].dtype == (np.int64 if name == "count" else np.float32)


@pytest.mark.parametrize("form", WRITERS)
def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path, form):
    # The sign has 1 bit, the exponent 8, the fraction 7.
    bits = np.array([0x3F80, 0xC020, 0x4049, 0x7F80], np.uint16)
    WRITERS[form](tmp_path / "file", {"x": bits})
    np.testing.assert_array_equal(
        weight_file.read(tmp_path / "file")["x"], [1.0, -2.5, 3.140625, np.inf]
    )


@pytest.mark.parametrize("write", [write_zip, write_pickles])
@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_training_checkpoint_is_searched_for_its_state_dict(tmp_path, write, key):
    write(tmp_path / "file", {"epoch": 3, key: OrderedDict(x=BASE), "optimizer": {"lr": 0.1}})
    np.testing.assert_array_equal(weight_file.read(tmp_path / "file")["x"], BASE)


def refusal(path):
    with pytest.raises(InputError) as caught:
        weight_file.read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_cut_anywhere_is_refused(tmp_path, form):
    path = tmp_path / "file"
    WRITERS[form](path, TENSORS)
    data = path.read_bytes()
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        refusal(path)


@pytest.mark.parametrize("form", WRITERS)
def test_a_byte_changed_anywhere_never_gets_through_as_another_exception(tmp_path, form):
    path = tmp_path / "file"
    refused = 0
    WRITERS[form](path, TENSORS)
    data = path.read_bytes()
    for place in range(0, len(data), 5):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            weight_file.read(path)
        except InputError:
            refused += 1
    assert refused > 20


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, call, *arguments):
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


def wrapped(form, data, path):
    """Put a pickle where `torch.save` would put it; `bare` is the pickle alone."""
    if form == "zip":
        pack_zip(path, data, {})
    elif form == "pickles":
        pack_pickles(path, data, {})
    else:
        path.write_bytes(data)


@pytest.mark.parametrize("form", ["zip", "pickles", "bare"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_would_run_something_is_refused_and_does_not(tmp_path, form, protocol):
    path = tmp_path / "file"
    victim = tmp_path / "victim"
    evil = {"conv1.weight": BASE, "x": Attack(os.system, f"touch {victim}")}
    data = pickle.dumps(evil["x"], protocol)
    pickle.loads(data)
    assert victim.exists()  # the attack works on an ordinary unpickler
    victim.unlink()

    wrapped(form, data, path)
    sentence = refusal(path)
    assert not victim.exists()
    if protocol:  # protocol 0 begins with the name itself; alone it looks like no file of weights
        assert (
            "system, which no state dict needs, and nothing was run; give what torch.save"
            in sentence
        )


@pytest.mark.parametrize("call", [eval, exec, getattr, __import__, io.open, np.ones])
def test_no_other_name_is_allowed(tmp_path, call):
    wrapped("zip", pickle.dumps(Attack(call, "1"), 2), tmp_path / "file")
    assert "which no state dict needs" in refusal(tmp_path / "file")


def test_a_memo_entry_of_34_gigabytes_is_not_made(tmp_path):
    wrapped("zip", b"\x80\x02]r\xff\xff\xff\x7f.", tmp_path / "file")
    assert "numbers more objects than it can hold" in refusal(tmp_path / "file")


def replaced_pickle(tmp_path, old, new):
    """A zip of one tensor (2, 3, 4) with bytes of its pickle changed."""
    data, storages = pickled({"x": BASE})
    assert data.count(old) == 1
    pack_zip(tmp_path / "file", data.replace(old, new), storages)
    return tmp_path / "file"


# In pickles of protocol 2, K is a number of one byte and \x87 ends a tuple of three.
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x02K\x03K\x04\x87", b"K\x02K\x03K\x05\x87"),  # more numbers than the storage has
        # Steps that lead beyond it: 12 + 2 * 5 + 3 = 25 > 23.
        (b"K\x0cK\x04K\x01\x87", b"K\x0cK\x05K\x01\x87"),
        (b"K\x0cK\x04K\x01\x87", b"K\x00K\x00K\xff\x87"),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, old, new):
    assert "x reaches beyond the numbers that are there" in refusal(
        replaced_pickle(tmp_path, old, new)
    )


def test_a_shape_below_zero_is_refused(tmp_path):
    below = b"J\xfe\xff\xff\xffK\x03K\x04\x87"  # J is a number of four bytes: -2
    assert "x has a shape that is none" in refusal(
        replaced_pickle(tmp_path, b"K\x02K\x03K\x04\x87", below)
    )


def test_a_tensor_that_would_fill_the_memory_is_refused(tmp_path):
    large = b"J\xff\xff\xff\x0fK\x03K\x04\x87"
    assert "numbers; at most" in refusal(replaced_pickle(tmp_path, b"K\x02K\x03K\x04\x87", large))


def test_unknown_number_types_are_named(tmp_path):
    path = tmp_path / "file"
    write_safetensors(path, {"x": BASE})
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"F99"'))
    assert "holds x as F99; allowed are F64, F32, F16, BF16" in refusal(path)
    data, storages = pickled({"x": BASE})
    pack_zip(path, data.replace(b"FloatStorage", b"ComplexFloatStorage"), storages)
    assert "holds a ComplexFloatStorage; allowed are DoubleStorage, FloatStorage" in refusal(path)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (
            {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]},
            "is damaged: x of shape (4,) has bytes 0 to 12",
        ),
        (
            {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
            "is damaged: x of shape (4,) has bytes 8 to 24",
        ),
        ({"dtype": "F32", "shape": [-4], "data_offsets": [16, 0]}, "is damaged: x of shape (-4,)"),
        (
            {"dtype": "F32", "shape": ["4"], "data_offsets": [0, 16]},
            "is damaged: x of shape ('4',)",
        ),
        ({"shape": [4], "data_offsets": [0, 16]}, "is damaged and cannot be read (KeyError)"),
        (3, "is damaged and cannot be read (TypeError)"),
    ],
)
def test_a_safetensors_header_must_fit_its_file(tmp_path, about, words):
    text = json.dumps({"x": about}).encode()
    (tmp_path / "file").write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    assert words in refusal(tmp_path / "file")


def test_what_holds_no_weights_is_told_apart(tmp_path):
    path = tmp_path / "file"
    assert "cannot be read (No such file or directory)" in refusal(path)
    assert "is not a file" in refusal(tmp_path)

    nothing = "is no file of weights; give a .safetensors file or what torch.save wrote"
    for data in (b"", b"GIF89a" * 9):
        path.write_bytes(data)
        assert nothing in refusal(path)

    path.write_bytes(pickle.dumps([1, 2, 3], 2))
    assert "is a pickle, but none of torch.save" in refusal(path)
    write_zip(path, [1, 2, 3])
    assert "holds no state dict" in refusal(path)

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("resnet18.pth", "x")
    assert "is a zip without the data.pkl of torch.save" in refusal(path)
    write_zip(path, TENSORS, zipfile.ZIP_DEFLATED)
    assert "is a compressed zip" in refusal(path)


def test_a_file_beyond_all_measure_is_not_read(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.truncate(weight_file.MAX_BYTES + 1)  # takes no place on the disk
    assert re.search(
        r"has 1,073,741,825 bytes; at most 1,073,741,824 are read", refusal(tmp_path / "file")
    )
