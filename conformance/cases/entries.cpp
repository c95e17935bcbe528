#include "conformance/cases/entries.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace flagos::conformance {
namespace {

std::uint64_t from(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

// What an out parameter held before the call, so that "untouched" differs from "cleared".
constexpr std::uint8_t filler = 0xcc;

constexpr const char* header_names[] = {
#include "flagos_header_functions.inc"
};

bool all_zero(const std::vector<std::uint8_t>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> made;
    describe_runtime(made);
    describe_memory(made);
    describe_streams(made);
    describe_modules(made);
    describe_graphs(made);
    describe_interop(made);
    describe_collectives(made);
    describe_virtual_memory(made);
    return made;
  }();
  return all;
}

const Entry& entry_of(const std::string& name) {
  for (const Entry& entry : entries())
    if (entry.name == name) return entry;
  throw std::logic_error("no entry " + name);
}

std::vector<std::string> header_functions() {
  return {std::begin(header_names), std::end(header_names)};
}

Call::Call(World& the_world, const Entry& the_entry) : world(the_world), entry(the_entry) {
  for (const Argument& argument : entry.arguments) values.push_back(argument.valid(*this));
}

Call::~Call() {
  for (auto action = undo_.rbegin(); action != undo_.rend(); ++action) (*action)();
}

void* Call::keep(std::size_t size, std::uint8_t fill) {
  storage_.emplace_back((size + 7) / 8 + 1);
  std::memset(storage_.back().data(), fill, size);
  return storage_.back().data();
}

std::size_t Call::index_of(const std::string& argument) const {
  for (std::size_t i = 0; i < entry.arguments.size(); ++i)
    if (entry.arguments[i].name == argument) return i;
  throw std::logic_error("no argument " + argument + " of " + entry.name);
}

flagos_status_t Call::run_as(
    const std::function<flagos_status_t(const std::function<flagos_status_t()>&)>& how) {
  const flagos_proc_t function = procedure(entry.name);
  const flagos_status_t status = how([&] { return entry.invoke(function, values.data()); });
  settle(status);
  return status;
}

// Destroys what the call made, and what it was to destroy and did not.
void Call::settle(flagos_status_t status) {
  if (!world.live()) return;
  if (entry.after) entry.after(*this, status);
  for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
    const Argument& argument = entry.arguments[i];
    if (argument.kind != Kind::out_handle || values[i] == 0 || status != FLAGOS_STATUS_OK) continue;
    destroy_object(argument.type, *reinterpret_cast<const std::uint64_t*>(values[i]));
  }
}

std::string Call::uncleared() const {
  for (std::size_t i = 0; i < entry.arguments.size(); ++i) {
    const Argument& argument = entry.arguments[i];
    if (!argument.is_out_pointer() || argument.kind == Kind::out_buffer || !argument.cleared ||
        values[i] == 0)
      continue;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(values[i]);
    std::vector<std::uint8_t> left(bytes, bytes + argument.size);
    // A struct keeps its struct_size.
    if (argument.kind == Kind::out_struct) std::memset(left.data(), 0, sizeof(std::uint32_t));
    if (argument.descriptor_offset != 0) {
      constexpr std::int32_t none = -1;
      std::uint8_t* const descriptor = left.data() + argument.descriptor_offset;
      if (std::memcmp(descriptor, &none, sizeof none) != 0) return argument.name + "'s descriptor";
      std::memset(descriptor, 0, sizeof none);
    }
    if (!all_zero(left)) return argument.name;
  }
  return "";
}

std::set<flagos_status_t> expected_when_valid(const World& world, const Entry& entry) {
  std::set<flagos_status_t> expected = entry.valid_statuses;
  if (entry.needs != FLAGOS_FEATURE_COUNT && !world.has(entry.needs))
    expected = {FLAGOS_STATUS_UNSUPPORTED};
  return expected;
}

std::string names_of(const std::set<flagos_status_t>& statuses) {
  std::string text;
  for (const flagos_status_t status : statuses)
    text += (text.empty() ? "" : " or ") + std::string(flagos_status_get_name(status));
  return text;
}

flagos_proc_t procedure(const std::string& name) {
  flagos_proc_t found = nullptr;
  if (flagos_get_proc(name.c_str(), FLAGOS_ABI_VERSION, &found) != FLAGOS_STATUS_OK ||
      found == nullptr)
    throw std::runtime_error("flagos_get_proc does not find " + name);
  return found;
}

Argument handle(const char* name, Type type) {
  return {.name = name, .kind = Kind::handle, .type = type, .valid = [type](Call& call) {
            return call.world.handle(type);
          }};
}

Argument fresh(const char* name, Type type) {
  return {.name = name, .kind = Kind::handle, .type = type, .valid = [type](Call& call) {
            const std::uint64_t made = call.world.make(type);
            if (call.world.live()) call.undo([=] { destroy_object(type, made); });
            return made;
          }};
}

Argument taken(const char* name, Type type) {
  Argument argument = fresh(name, type);  // destroying it once more is refused, and so harmless
  argument.kind = Kind::taken;
  return argument;
}

Argument out_handle(const char* name, Type type) {
  return {.name = name,
          .kind = Kind::out_handle,
          .type = type,
          .size = sizeof(void*),
          .valid = [](Call& call) { return from(call.keep(sizeof(void*), filler)); }};
}

Argument out_value(const char* name, std::size_t size) {
  return {.name = name, .kind = Kind::out_value, .size = size, .valid = [size](Call& call) {
            return from(call.keep(size, filler));
          }};
}

Argument out_buffer(const char* name, std::size_t size) {
  return {.name = name, .kind = Kind::out_buffer, .size = size, .valid = [size](Call& call) {
            return from(call.keep(size, filler));
          }};
}

Argument in_string(const char* name, std::function<std::string(Call&)> text) {
  return {.name = name, .kind = Kind::in_string, .valid = [text = std::move(text)](Call& call) {
            const std::string value = text(call);
            void* const copy = call.keep(value.size() + 1);
            std::memcpy(copy, value.c_str(), value.size() + 1);
            return from(copy);
          }};
}

Argument in_data(const char* name, std::function<std::uint64_t(Call&)> valid) {
  return {.name = name, .kind = Kind::in_data, .valid = std::move(valid)};
}

Argument value(const char* name, Kind kind, std::uint64_t valid) {
  return {.name = name, .kind = kind, .valid = [valid](Call&) { return valid; }};
}

Argument value(const char* name, Kind kind, std::function<std::uint64_t(Call&)> valid) {
  return {.name = name, .kind = kind, .valid = std::move(valid)};
}

}  // namespace flagos::conformance
