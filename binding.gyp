# Only for tools that insist on node-gyp: the one action runs the project's own build script. The output never comes
# to exist, so the action always runs and the real build system decides what is stale.
{
  "targets": [
    {
      "target_name": "native",
      "type": "none",
      "actions": [
        {
          "action_name": "build_native",
          "inputs": ["<(module_root_dir)/native/CMakeLists.txt"],
          "outputs": ["<(INTERMEDIATE_DIR)/always-run"],
          "action": ["node", "<(module_root_dir)/scripts/build-native.mjs"]
        }
      ]
    }
  ]
}
