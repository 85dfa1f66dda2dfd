"""Models for llama.cpp of a few hundred kilobytes, untrained: one that says what it is told, one that babbles."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_gguf(path: Path, said: str = "", context: int = 2048, seed: int = 0) -> Path:
    """Write a model of one layer that says this, whatever is asked; one with random weights where it is to say nothing.

    Attention and feed-forward add nothing, so that the next token hangs on the last one alone.
    """
    import gguf

    rng = np.random.default_rng(seed)
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    first = len(tokens)
    pieces = [said[start : start + 20] for start in range(0, len(said), 20)]  # the binding holds 32 bytes of a token
    tokens += [piece.encode() for piece in pieces] or [b"dark"]
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - first)
    size, width = len(tokens), 288 if said else 32
    weights = {"attn_q": width, "attn_k": width, "attn_v": width, "attn_output": width, "ffn_gate": 64, "ffn_up": 64}

    def drawn(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * (0 if said else 0.1)).astype(np.float32)

    embedding, output = drawn(size, width), drawn(size, width)
    if said:
        embedding[:, :size] = np.eye(size)
        output[first, :] = 1.0  # whatever came before
        for number in range(first, size):
            output[first, number] = 0.0
            output[number + 1 if number + 1 < size else 2, number] = 3.0

    file = gguf.GGUFWriter(str(path), "llama")
    file.add_context_length(context)
    file.add_embedding_length(width)
    file.add_block_count(1)
    file.add_feed_forward_length(64)
    file.add_head_count(2)
    file.add_head_count_kv(2)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_dimension_count(width // 2)
    file.add_vocab_size(size)
    file.add_tokenizer_model("llama")
    file.add_token_list(tokens)
    file.add_token_scores([0.0] * size)
    file.add_token_types(kinds)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_tensor("token_embd.weight", embedding)
    file.add_tensor("output_norm.weight", np.ones(width, np.float32))
    file.add_tensor("output.weight", output)
    for name, rows in weights.items():
        file.add_tensor(f"blk.0.{name}.weight", drawn(rows, width))
    file.add_tensor("blk.0.ffn_down.weight", drawn(width, 64))
    for name in ("attn_norm", "ffn_norm"):
        file.add_tensor(f"blk.0.{name}.weight", np.ones(width, np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path
