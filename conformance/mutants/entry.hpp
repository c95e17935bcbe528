// The generic bugs: for one entry, functions that do almost what the wrapped plugin's does.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <mutex>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "conformance/mutants/slots.hpp"

namespace flagos::conformance::mutants {

// Objects of a plugin are told from structures by their type being incomplete for everyone.
template <typename T>
concept Complete = requires {
  sizeof(T);
};
template <typename T>
concept ObjectPointer =
    std::is_pointer_v<T> && !std::is_void_v<std::remove_pointer_t<T>> &&
    !std::is_function_v<std::remove_pointer_t<T>> && !Complete<std::remove_pointer_t<T>>;
template <typename T>
concept Structure = std::is_class_v<std::remove_cv_t<T>>;
template <typename T>
concept Sized = Structure<T> && requires(T value) {
  value.struct_size;
};

// One call of an entry, as hooks see it.
struct Call {
  std::size_t slot;
  Kind kind;
  flagos_plugin_stream_t* stream;  // that it submits to or waits for; NULL: none
};

// What every call passes when a mutant asks for it. `before` may say that the call is not made and answers OK.
struct Hooks {
  bool (*before)(const Call& call) = nullptr;
  void (*after)(const Call& call, flagos_status_t status) = nullptr;
};
inline Hooks hooks;

// Changes a structure on its way in or out.
using Change = void (*)(void* structure);
inline Change change = nullptr;  // of the mutant that is on

// Sets the text of a failure that a mutant makes up.
flagos_status_t made_up_failure();
// While it lives, texts of failures on this thread do not reach the host.
struct NoErrorText {
  NoErrorText();
  ~NoErrorText();
  NoErrorText(const NoErrorText&) = delete;
  NoErrorText& operator=(const NoErrorText&) = delete;
};
// Waits for all work of a stream.
void wait_for_stream(flagos_plugin_stream_t* stream);

inline std::mutex everybody;
inline bool let_pass(const Call&) {
  const std::lock_guard lock(everybody);
  return true;
}

inline constexpr std::uint64_t for_ever = std::numeric_limits<std::uint64_t>::max();
inline constexpr auto late_time = std::chrono::milliseconds(5);

template <typename Slot, typename Function = typename Slot::Function>
struct Entry;

template <typename Slot, typename R, typename... A>
struct Entry<Slot, R(A...)> {
  using Function = R (*)(A...);
  using Arguments = std::tuple<A...>;
  template <std::size_t I>
  using Argument = std::tuple_element_t<I, Arguments>;
  static constexpr std::size_t size = sizeof...(A);
  static constexpr bool has_status = !std::is_void_v<R>;

  static inline Function next = nullptr;

  // ---- the call as a whole ----

  static R hooked(A... arguments) {
    const Call call{Slot::index, Slot::kind, find<flagos_plugin_stream_t*>(arguments...)};
    if (hooks.before != nullptr && !hooks.before(call)) return answer(FLAGOS_STATUS_OK);
    return followed(call, arguments...);
  }

  static R skip(A...) { return answer(FLAGOS_STATUS_OK); }

  static R fail(A...) { return answer(made_up_failure()); }

  static R fail_after(A... arguments) {
    next(arguments...);
    return answer(made_up_failure());
  }

  static R skip_seventh(A... arguments) {
    static std::atomic<unsigned> calls{0};
    if (++calls % 7 == 0) return answer(FLAGOS_STATUS_OK);
    return next(arguments...);
  }

  static R fail_seventh(A... arguments) {
    static std::atomic<unsigned> calls{0};
    if (++calls % 7 == 0) return answer(made_up_failure());
    return next(arguments...);
  }

  static R other_status(A... arguments) {
    const flagos_status_t status = next(arguments...);
    return status == FLAGOS_STATUS_OK ? status : FLAGOS_STATUS_INTERNAL;
  }

  static R swallow_failure(A... arguments) {
    const flagos_status_t status = next(arguments...);
    return FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ANSWER ? status : FLAGOS_STATUS_OK;
  }

  static R timeout_is_ok(A... arguments) {
    const flagos_status_t status = next(arguments...);
    return status == FLAGOS_STATUS_TIMEOUT ? FLAGOS_STATUS_OK : status;
  }

  static R no_text(A... arguments) {
    const NoErrorText silence;
    return next(arguments...);
  }

  static R twice(A... arguments) {
    next(arguments...);
    return next(arguments...);
  }

  // Everybody else waits meanwhile, when `let_pass` is the hook.
  static R locks_out(A... arguments) {
    const std::lock_guard lock(everybody);
    return next(arguments...);
  }

  // Answers at once and makes the call later, with the pointers that it was given.
  static R late(A... arguments) {
    std::thread([=] {
      std::this_thread::sleep_for(late_time);
      next(arguments...);
    }).detach();
    return answer(FLAGOS_STATUS_OK);
  }

  static R waits(A... arguments) {
    if constexpr (has_status) {
      const flagos_status_t status = next(arguments...);
      wait_for_stream(find<flagos_plugin_stream_t*>(arguments...));
      return status;
    }
  }

  // ---- one argument ----

  template <std::size_t I, int Delta>
  static R plus(A... arguments) {
    Arguments all(arguments...);
    using Value = Argument<I>;
    if constexpr (std::is_pointer_v<Value>) {
      const auto* const bytes = static_cast<const char*>(std::get<I>(all));
      if (bytes != nullptr) std::get<I>(all) = pointer_to<Value>(bytes + Delta);
    } else {
      std::get<I>(all) = static_cast<Value>(std::get<I>(all) + static_cast<Value>(Delta));
    }
    return std::apply(next, all);
  }

  template <std::size_t I>
  static R zero(A... arguments) {
    Arguments all(arguments...);
    std::get<I>(all) = 0;
    return std::apply(next, all);
  }

  template <std::size_t I>
  static R as_long_as_it_takes(A... arguments) {
    Arguments all(arguments...);
    std::get<I>(all) = for_ever;
    return std::apply(next, all);
  }

  template <std::size_t I, std::size_t J>
  static R swapped(A... arguments) {
    Arguments all(arguments...);
    std::swap(std::get<I>(all), std::get<J>(all));
    return std::apply(next, all);
  }

  // The object of an earlier call instead, where there is one.
  template <std::size_t I>
  static R other_object(A... arguments) {
    static std::mutex mutex;
    static Argument<I> last{}, before_last{};
    Arguments all(arguments...);
    {
      const std::lock_guard lock(mutex);
      if (std::get<I>(all) != last) before_last = std::exchange(last, std::get<I>(all));
      if (before_last != nullptr) std::get<I>(all) = before_last;
    }
    return std::apply(next, all);
  }

  // ---- a structure that goes in ----

  template <std::size_t I>
  static R changed_in(A... arguments) {
    Arguments all(arguments...);
    using Struct = std::remove_const_t<std::remove_pointer_t<Argument<I>>>;
    Struct copy{};
    std::memcpy(&copy, std::get<I>(all), extent(*std::get<I>(all)));
    change(&copy);
    std::get<I>(all) = &copy;
    return std::apply(next, all);
  }

  // The same for each element of an array whose length follows.
  template <std::size_t I>
  static R changed_array(A... arguments) {
    Arguments all(arguments...);
    using Struct = std::remove_const_t<std::remove_pointer_t<Argument<I>>>;
    std::vector<Struct> copies(std::get<I>(all), std::get<I>(all) + std::get<I + 1>(all));
    for (Struct& copy : copies) change(&copy);
    std::get<I>(all) = copies.data();
    return std::apply(next, all);
  }

  // ---- what comes out ----

  template <std::size_t I>
  static R changed_out(A... arguments) {
    const flagos_status_t status = next(arguments...);
    auto* const out = std::get<I>(Arguments(arguments...));
    if (status == FLAGOS_STATUS_OK && out != nullptr) change(out);
    return status;
  }

  // A result that an earlier call gave, and none at the first one.
  template <std::size_t I>
  static R stale_out(A... arguments) {
    using Value = std::remove_pointer_t<Argument<I>>;
    static std::mutex mutex;
    static Value last{};
    const flagos_status_t status = next(arguments...);
    auto* const out = std::get<I>(Arguments(arguments...));
    const std::lock_guard lock(mutex);
    if (status == FLAGOS_STATUS_OK && out != nullptr) std::swap(*out, last);
    return status;
  }

  // The result of the call before, from the second one on.
  template <std::size_t I>
  static R previous_out(A... arguments) {
    using Value = std::remove_pointer_t<Argument<I>>;
    static std::mutex mutex;
    static Value last{};
    const flagos_status_t status = next(arguments...);
    auto* const out = std::get<I>(Arguments(arguments...));
    if (status != FLAGOS_STATUS_OK || out == nullptr) return status;
    const std::lock_guard lock(mutex);
    const Value made = *out;
    if (last != Value{}) *out = last;
    last = made;
    return status;
  }

  template <std::size_t I>
  static R no_out(A... arguments) {
    const flagos_status_t status = next(arguments...);
    auto* const out = std::get<I>(Arguments(arguments...));
    if (out != nullptr) *out = {};
    return status;
  }

  template <std::size_t I, int Delta>
  static R plus_out(A... arguments) {
    const flagos_status_t status = next(arguments...);
    auto* const out = std::get<I>(Arguments(arguments...));
    if (status == FLAGOS_STATUS_OK && out != nullptr) *out += Delta;
    return status;
  }

  // One byte behind what the caller has room for.
  template <std::size_t I>
  static R past_out(A... arguments) {
    auto* const out = std::get<I>(Arguments(arguments...));
    const std::size_t room = out == nullptr ? 0 : extent(*out);
    const flagos_status_t status = next(arguments...);
    if (out != nullptr) {
      auto* const byte = reinterpret_cast<volatile unsigned char*>(out) + room;
      *byte = static_cast<unsigned char>(*byte ^ 0x5a);
    }
    return status;
  }

  // Makes one more, which nobody ever gives back.
  template <std::size_t I>
  static R one_more(A... arguments) {
    Arguments all(arguments...);
    std::remove_pointer_t<Argument<I>> lost{};
    if constexpr (Sized<decltype(lost)>) lost.struct_size = sizeof(lost);
    std::get<I>(all) = &lost;
    std::apply(next, all);
    return next(arguments...);
  }

  static R answer(flagos_status_t status) {
    if constexpr (has_status) return status;
  }

 private:
  static R followed(const Call& call, A... arguments) {
    if constexpr (has_status) {
      const flagos_status_t status = next(arguments...);
      if (hooks.after != nullptr) hooks.after(call, status);
      return status;
    } else {
      next(arguments...);
      if (hooks.after != nullptr) hooks.after(call, FLAGOS_STATUS_OK);
    }
  }

  template <typename Wanted>
  static Wanted find(A... arguments) {
    Wanted found = nullptr;
    (
        [&] {
          if constexpr (std::is_same_v<A, Wanted>) found = arguments;
        }(),
        ...);
    return found;
  }

  template <typename Pointer>
  static Pointer pointer_to(const char* bytes) {
    return static_cast<Pointer>(const_cast<char*>(bytes));
  }

  // How much of it is there: a structure says so itself.
  template <typename T>
  static std::size_t extent(const T& value) {
    if constexpr (Sized<T>) {
      return std::min<std::size_t>(value.struct_size, sizeof(value));
    } else {
      return sizeof(value);
    }
  }
};

// The wrapped plugin's function, for mutants that are written by hand: next<slot::memory_copy>(stream, ...).
template <typename Slot, typename... Arguments>
auto next(Arguments... arguments) {
  return Entry<Slot>::next(arguments...);
}

}  // namespace flagos::conformance::mutants
