// guard turns whatever a body throws into a status, and hands the text on: the only catch (...) of a library.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "base/error.hpp"

namespace flagos {

// `body` returns void (OK) or a status. `set_error(status, text)` must not throw.
template <typename Body, typename SetError>
flagos_status_t guard(Body&& body, SetError&& set_error) noexcept {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Body>>) {
      std::forward<Body>(body)();
      return FLAGOS_STATUS_OK;
    } else {
      return std::forward<Body>(body)();
    }
  } catch (const Error& error) {
    set_error(error.status(), error.what());
    return error.status();
  } catch (const std::bad_alloc&) {
    set_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "out of host memory");
    return FLAGOS_STATUS_OUT_OF_HOST_MEMORY;
  } catch (const std::exception& error) {
    set_error(FLAGOS_STATUS_INTERNAL, error.what());
    return FLAGOS_STATUS_INTERNAL;
  } catch (...) {
    set_error(FLAGOS_STATUS_INTERNAL, "an exception of unknown type");
    return FLAGOS_STATUS_INTERNAL;
  }
}

}  // namespace flagos
