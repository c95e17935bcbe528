// Where flagos looks for plugins, without loading any: the order that flagos_runtime_create
// documents.
#pragma once

#include <string>
#include <vector>

namespace flagos::tools {

struct Search {
  std::vector<std::string> files;  // plugin libraries, in order
  std::vector<std::string>
      folders;  // that were looked into; empty when FLAGOS_PLUGIN_FILES names files
};

Search search_plugins();

// The library that a user means by a path, or by a name such as "cpu". Throws CommandError that
// says where it looked.
std::string find_plugin(const std::string& path_or_name);

}  // namespace flagos::tools
