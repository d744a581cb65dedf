//! Builds the WebAssembly blob of the runtime when feature `wasm` is on.
fn main() {
    #[cfg(all(feature = "std", feature = "wasm"))]
    {
        #[cfg(feature = "metadata-hash")]
        substrate_wasm_builder::WasmBuilder::init_with_defaults()
            .enable_metadata_hash("WEFT", 12)
            .build();
        #[cfg(not(feature = "metadata-hash"))]
        substrate_wasm_builder::WasmBuilder::build_using_defaults();
    }
}
