/// The Python file beside a structurally pruned checkpoint, through which transformers and PEFT open it
/// (`trust_remote_code=True`; checked with transformers 4 and 5).
public enum ModelingScript {
    public static let fileName = "modeling_loram.py"
    static let configClass = "LoramLlamaConfig"
    static let modelClass = "LoramLlamaForCausalLM"

    /// config.json's `auto_map`, which names the classes of the script.
    static let autoMap: JSONValue = [
        "AutoConfig": "modeling_loram.\(configClass)",
        "AutoModelForCausalLM": "modeling_loram.\(modelClass)",
    ]

    public static let text = #"""
        """Opens a structurally pruned Llama in transformers: a Llama whose layers have head counts and MLP widths of their own."""
        import copy

        from transformers import LlamaConfig, LlamaForCausalLM
        from transformers.models.llama.modeling_llama import LlamaDecoderLayer

        PER_LAYER = ("num_attention_heads", "num_key_value_heads", "intermediate_size")


        class LoramLlamaConfig(LlamaConfig):
            model_type = "loram_llama"

            def __init__(self, **kwargs):
                # Other code expects numbers under these names: they get the largest entry, the lists live in `per_layer`.
                per_layer = dict(kwargs.pop("per_layer", {}))
                per_layer.update({key: kwargs[key] for key in PER_LAYER if isinstance(kwargs.get(key), list)})
                kwargs.update({key: max(values) for key, values in per_layer.items()})
                if "num_attention_heads" in per_layer:
                    # transformers insists on a divisor of hidden_size here, which no layer's count needs to be.
                    while kwargs["hidden_size"] % kwargs["num_attention_heads"]:
                        kwargs["num_attention_heads"] += 1
                super().__init__(**kwargs)
                self.per_layer = per_layer

            def to_dict(self):
                values = super().to_dict()
                values.update(values.pop("per_layer", {}))
                return values


        class LoramLlamaForCausalLM(LlamaForCausalLM):
            config_class = LoramLlamaConfig

            def __init__(self, config):
                super().__init__(config)
                for index in range(config.num_hidden_layers):
                    shape = copy.copy(config)
                    for key, values in config.per_layer.items():
                        setattr(shape, key, values[index])
                    layer = LlamaDecoderLayer(shape, index)
                    layer.self_attn.config = config
                    self.model.layers[index] = layer
                self.post_init()

        """#
}
