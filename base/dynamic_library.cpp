#include "base/dynamic_library.hpp"

#include <boost/dll/shared_library.hpp>

#include "base/error.hpp"

namespace flagos {

struct DynamicLibrary::State {
  boost::dll::shared_library library;
};

DynamicLibrary::DynamicLibrary(const std::string& path) : state_(std::make_unique<State>()) {
  boost::dll::fs::path file(path);
  try {
    state_->library.load(file, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& failure) {
    throw_error(FLAGOS_STATUS_NOT_FOUND, "it cannot be loaded: {}", failure.what());
  }
}

DynamicLibrary::~DynamicLibrary() = default;

DynamicLibrary::Symbol DynamicLibrary::symbol(const char* name) const {
  if (!state_->library.has(name)) throw_error(FLAGOS_STATUS_NOT_FOUND, "it has no symbol {}", name);
  return &state_->library.get<void()>(name);
}

}  // namespace flagos
