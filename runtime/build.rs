//! Builds the WebAssembly blob of the runtime when feature `wasm` is on.

fn main() {
    #[cfg(all(feature = "std", feature = "wasm"))]
    {
        // The builder passes every feature of this crate on to the blob. These two would make it compile the builder
        // itself, Binaryen included, a second time, for nothing.
        std::env::remove_var("CARGO_FEATURE_WASM");
        std::env::remove_var("CARGO_FEATURE_METADATA_HASH");

        #[cfg(feature = "metadata-hash")]
        substrate_wasm_builder::WasmBuilder::init_with_defaults().enable_metadata_hash("WEFT", 12).build();
        #[cfg(not(feature = "metadata-hash"))]
        substrate_wasm_builder::WasmBuilder::build_using_defaults();
    }
}
