#include "core/tile_program.hpp"

#include "core/assertions.hpp"
#include "core/entry.hpp"
#include "core/log.hpp"
#include "core/tile_road.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

// Beyond, programs that nobody uses go, those used longest ago first.
constexpr std::size_t most_slots = 1024;
constexpr std::size_t most_key_bytes = std::size_t{64} << 20;

// One thread at a time puts a lookup together in its own buffer: a second load allocates nothing for its key.
std::string_view key_of(std::string_view text, std::string_view options) {
  thread_local std::string key;
  key.assign(options);
  key.push_back('\0');
  key.append(text);
  return key;
}

}  // namespace

TileProgram::TileProgram(Device& device, TileBinary binary) : device_(device), binary_(std::move(binary)) {
  for (const TileRecord& record : binary_.kernels) remember_assertions(record.assertions);
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = binary_.format.c_str();
  desc.data = binary_.image.data();
  desc.size_bytes = binary_.image.size();
  expect(device_.tables().module.load(device_.native(), &desc, &native_), "module.load");
  if (native_ == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from module.load");
  validate_made(&device_, NativeKind::module, native_, "module.load");
}

TileProgram::~TileProgram() {
  validate_gone(&device_, NativeKind::module, native_);
  device_.tables().module.unload(native_);
}

std::shared_ptr<TileProgram> TileTable::find(std::string_view text, std::string_view options) {
  const std::string_view key = key_of(text, options);
  std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  Slot& slot = **found->second;
  const std::unique_lock made(slot.mutex, std::try_to_lock);
  if (!made.owns_lock() || !slot.program) return nullptr;
  slots_.splice(slots_.begin(), slots_, found->second);
  return slot.program;
}

TileTable::SlotPtr TileTable::slot(const std::string& key) {
  std::lock_guard lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    slots_.splice(slots_.begin(), slots_, found->second);
    return *found->second;
  }
  make_room();
  auto made = std::make_shared<Slot>();
  made->key = key;
  slots_.push_front(made);
  by_key_.emplace(made->key, slots_.begin());
  key_bytes_ += key.size();
  return made;
}

void TileTable::clear() {
  std::list<SlotPtr> gone;
  std::lock_guard lock(mutex_);
  by_key_.clear();
  key_bytes_ = 0;
  gone.swap(slots_);
}

void TileTable::make_room() {
  for (auto at = slots_.end(); at != slots_.begin() && (slots_.size() >= most_slots || key_bytes_ > most_key_bytes);) {
    --at;
    // A slot that somebody waits for, and a program that a module stands on, stay.
    if (at->use_count() > 1 || (*at)->program.use_count() > 1) continue;
    by_key_.erase((*at)->key);
    key_bytes_ -= (*at)->key.size();
    at = slots_.erase(at);
  }
}

std::shared_ptr<TileProgram> TileTable::make(std::string_view text, const std::string& options) {
  TileRoads roads(device_);
  TileBinary binary = roads.make(text, options);
  if (!binary.is_kept) return std::make_shared<TileProgram>(device_, std::move(binary));
  try {
    return std::make_shared<TileProgram>(device_, std::move(binary));
  } catch (const Error& error) {
    // The driver may have changed in a way that its plugin did not tell.
    log(FLAGOS_LOG_LEVEL_WARNING, "a kept kernel does not load on device {} and is made anew: {}", device_.info().id,
        error.what());
  }
  return std::make_shared<TileProgram>(device_, roads.make(text, options, true));
}

std::shared_ptr<TileProgram> TileTable::load(std::string_view text, const std::string& options) {
  const SlotPtr slot = this->slot(std::string(key_of(text, options)));
  std::lock_guard lock(slot->mutex);
  if (slot->program) return slot->program;
  if (slot->failure) throw Error(*slot->failure);
  try {
    slot->program = make(text, options);
  } catch (const TileCompileError& error) {
    slot->failure = Error(error);
    throw;
  }
  return slot->program;
}

}  // namespace flagos::core
