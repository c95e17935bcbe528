#include "base/dynamic_library.hpp"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>

#include <string_view>
#include <system_error>

#include "base/error.hpp"

namespace flagos {
namespace {

// Boost wraps what the dynamic linker said into "load() failed (dlerror system message: ...): Bad file descriptor".
std::string linker_words(const std::system_error& failure) {
  constexpr std::string_view before = "(dlerror system message: ";
  const std::string after = "): " + failure.code().message();
  const std::string_view text = failure.what();
  const std::size_t start = text.find(before);
  if (start == std::string_view::npos || !text.ends_with(after)) return failure.what();
  const std::size_t first = start + before.size();
  return std::string(text.substr(first, text.size() - after.size() - first));
}

}  // namespace

struct DynamicLibrary::State {
  boost::dll::shared_library library;
};

DynamicLibrary::DynamicLibrary(const std::string& path) : state_(std::make_unique<State>()) {
  boost::dll::fs::path file(path);
  auto mode = boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local;
#if defined(__SANITIZE_ADDRESS__)
  // What the variables of a library hold has no owner and no name any more where the library is gone: a leak.
  mode |= boost::dll::load_mode::type(RTLD_NODELETE);
#endif
  // A bare name is looked for where the dynamic linker looks, never in the current directory.
  if (path.find('/') == std::string::npos) mode |= boost::dll::load_mode::search_system_folders;
  try {
    state_->library.load(file, mode);
  } catch (const std::system_error& failure) {
    throw_error(FLAGOS_STATUS_NOT_FOUND, "it cannot be loaded: {}", linker_words(failure));
  }
}

DynamicLibrary::~DynamicLibrary() = default;

bool DynamicLibrary::has(const char* name) const { return state_->library.has(name); }

DynamicLibrary::Symbol DynamicLibrary::symbol(const char* name) const {
  if (!has(name)) throw_error(FLAGOS_STATUS_NOT_FOUND, "it has no symbol {}", name);
  return &state_->library.get<void()>(name);
}

}  // namespace flagos
