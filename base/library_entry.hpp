// How functions of a library built on libflagos begin: what they throw becomes a status and flagos_last_error.
#pragma once

#include <flagos.h>

#include <utility>

#include "base/guard.hpp"

namespace flagos {

template <typename Body>
flagos_status_t entry(Body&& body) noexcept {
  return guard(std::forward<Body>(body), [](flagos_status_t, const char* text) { flagos_set_last_error(text); });
}

template <typename T>
T& require(T* pointer, const char* name) {
  if (pointer == nullptr) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is NULL", name);
  return *pointer;
}

}  // namespace flagos
