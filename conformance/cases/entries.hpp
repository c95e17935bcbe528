// The one description of flagos.h that the generated cases come from: every entry point, its
// arguments, how a valid call is made of a World, and what invalid values must give.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "conformance/cases/entry_world.hpp"

namespace flagos::conformance {

enum class Kind : std::uint8_t {
  handle,      // an object, by handle
  taken,       // an object that the call destroys
  in_struct,   // const T*, with struct_size
  in_data,     // const bytes or arrays
  in_string,   // const char*
  function,    // a callback
  out_handle,  // T**, the caller's to destroy
  out_struct,  // T*, with struct_size
  out_value,   // a scalar or a borrowed pointer
  out_buffer,  // [capacity]
  size,        // bytes
  number,      // counts, indices, plain values
  enumeration,
  flags,
  timeout,
  address,
  user_data,  // passed on
};

struct Call;

// A value of an argument, and what the call says when all others are valid.
struct Point {
  std::uint64_t value;
  std::set<flagos_status_t> statuses;
};

struct Argument {
  std::string name;
  Kind kind = Kind::number;
  Type type = Type::count;  // of handles
  std::size_t size = 0;     // of what an out pointer points to; of in_struct
  bool optional = false;    // NULL is allowed
  bool cleared = true;      // zeroed when the call fails
  std::size_t descriptor_offset =
      0;  // of a file descriptor in an out struct, -1 when the call fails
  std::function<std::uint64_t(Call&)> valid = {};
  std::vector<Point> points = {};

  Argument& may_be_null() {
    optional = true;
    return *this;
  }
  Argument& kept() {
    cleared = false;
    return *this;
  }
  Argument& point(std::uint64_t value, std::set<flagos_status_t> statuses) {
    points.push_back({value, std::move(statuses)});
    return *this;
  }
  bool is_handle() const { return kind == Kind::handle || kind == Kind::taken; }
  bool is_in_pointer() const {
    return kind == Kind::in_struct || kind == Kind::in_data || kind == Kind::in_string ||
           kind == Kind::function;
  }
  bool is_out_pointer() const {
    return kind == Kind::out_handle || kind == Kind::out_struct || kind == Kind::out_value ||
           kind == Kind::out_buffer;
  }
};

using Invoke = flagos_status_t (*)(flagos_proc_t, const std::uint64_t*);

struct Entry {
  std::string name;
  std::vector<Argument> arguments;
  Invoke invoke = nullptr;
  std::set<flagos_status_t> valid_statuses{FLAGOS_STATUS_OK};
  flagos_feature_t needs = FLAGOS_FEATURE_COUNT;  // UNSUPPORTED where this is absent
  std::function<void(Call&, flagos_status_t)>
      after;  // takes back what a call did, beyond its out handles

  Entry& feature(flagos_feature_t value) {
    needs = value;
    return *this;
  }
  Entry& statuses(std::set<flagos_status_t> values) {
    valid_statuses = std::move(values);
    return *this;
  }
  Entry& then(std::function<void(Call&, flagos_status_t)> action) {
    after = std::move(action);
    return *this;
  }
};

// Every function of flagos.h but the two that return text.
const std::vector<Entry>& entries();
const Entry& entry_of(const std::string& name);
// The names that the header declares with FLAGOS_API, read from the header when the suite was
// built.
std::vector<std::string> header_functions();

// One call: made valid, then spoilt, then run. Takes back what it did.
struct Call {
  Call(World& the_world, const Entry& the_entry);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Memory for an argument; lives as long as the call, aligned to 8, filled with `filler`.
  void* keep(std::size_t size, std::uint8_t filler = 0);
  void undo(std::function<void()> action) { undo_.push_back(std::move(action)); }
  flagos_status_t run() {
    return run_as([](const std::function<flagos_status_t()>& call) { return call(); });
  }
  // The call itself is made by `how`, which is given it and may put something around it.
  flagos_status_t run_as(
      const std::function<flagos_status_t(const std::function<flagos_status_t()>&)>& how);
  // The first out parameter that a failing call left uncleared, or "".
  std::string uncleared() const;
  std::size_t index_of(const std::string& argument) const;
  std::uint64_t& operator[](const std::string& argument) { return values[index_of(argument)]; }
  template <class T>
  T* desc(const std::string& argument) {
    return reinterpret_cast<T*>(values[index_of(argument)]);
  }

  World& world;
  const Entry& entry;
  std::vector<std::uint64_t> values;
  std::vector<std::uint64_t> notes;  // what one argument's provider tells the next ones

 private:
  void settle(flagos_status_t status);

  std::deque<std::vector<std::uint64_t>> storage_;
  std::vector<std::function<void()>> undo_;
};

// What a call of this entry may say when nothing is wrong with it.
std::set<flagos_status_t> expected_when_valid(const World& world, const Entry& entry);
std::string names_of(const std::set<flagos_status_t>& statuses);
// The function behind an entry, got by name.
flagos_proc_t procedure(const std::string& name);

// ---- how the description is written
// ----------------------------------------------------------------------------

template <auto Function>
struct Signature;

template <class... A, flagos_status_t (*Function)(A...)>
struct Signature<Function> {
  static constexpr std::size_t arity = sizeof...(A);

  template <class T>
  static T convert(std::uint64_t value) {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<T>(value);
    } else {
      return static_cast<T>(value);
    }
  }
  static flagos_status_t invoke(flagos_proc_t procedure,
                                [[maybe_unused]] const std::uint64_t* values) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return reinterpret_cast<flagos_status_t (*)(A...)>(procedure)(convert<A>(values[I])...);
    }
    (std::make_index_sequence<sizeof...(A)>());
  }
};

template <auto Function, class... Arguments>
Entry describe_entry(const char* name, Arguments... arguments) {
  static_assert(sizeof...(Arguments) == Signature<Function>::arity, "one description per argument");
  Entry entry;
  entry.name = name;
  entry.arguments = {std::move(arguments)...};
  entry.invoke = &Signature<Function>::invoke;
  return entry;
}
#define FLAGOS_ENTRY(function, ...) describe_entry<&function>(#function __VA_OPT__(, ) __VA_ARGS__)

Argument handle(const char* name, Type type);  // the world's
Argument fresh(const char* name, Type type);   // one made for this call, destroyed after it
Argument taken(const char* name, Type type);
template <class Desc>
Argument in_struct(const char* name) {
  Argument argument{.name = name, .kind = Kind::in_struct, .size = sizeof(Desc)};
  argument.valid = [](Call& call) {
    auto* const desc = static_cast<Desc*>(call.keep(sizeof(Desc)));
    call.world.describe(*desc);
    return reinterpret_cast<std::uint64_t>(desc);
  };
  return argument;
}
template <class Info>
Argument out_struct(const char* name) {
  Argument argument{.name = name, .kind = Kind::out_struct, .size = sizeof(Info)};
  argument.valid = [](Call& call) {
    auto* const info = static_cast<Info*>(call.keep(sizeof(Info), 0xcc));
    info->struct_size = sizeof(Info);
    return reinterpret_cast<std::uint64_t>(info);
  };
  return argument;
}
Argument out_handle(const char* name, Type type);
Argument out_value(const char* name, std::size_t size);
Argument out_buffer(const char* name, std::size_t size);
Argument in_string(const char* name, std::function<std::string(Call&)> text);
Argument in_data(const char* name, std::function<std::uint64_t(Call&)> valid);
Argument value(const char* name, Kind kind, std::uint64_t valid);
Argument value(const char* name, Kind kind, std::function<std::uint64_t(Call&)> valid);

void describe_runtime(std::vector<Entry>& entries);
void describe_memory(std::vector<Entry>& entries);
void describe_streams(std::vector<Entry>& entries);
void describe_modules(std::vector<Entry>& entries);
void describe_graphs(std::vector<Entry>& entries);
void describe_interop(std::vector<Entry>& entries);
void describe_collectives(std::vector<Entry>& entries);
void describe_virtual_memory(std::vector<Entry>& entries);

}  // namespace flagos::conformance
