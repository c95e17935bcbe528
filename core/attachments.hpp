// What libraries built on flagos keep with an open device.
#pragma once

#include <flagos.h>

#include <mutex>
#include <vector>

namespace flagos::core {

class Attachments {
 public:
  // What is kept under `key` from now on: `attachment`, unless something was there before.
  void* attach(const void* key, void* attachment, flagos_attachment_release_t release) {
    std::lock_guard lock(mutex_);
    if (void* const kept = find(key)) return kept;
    kept_.push_back({key, attachment, release});
    return attachment;
  }
  void* get(const void* key) {
    std::lock_guard lock(mutex_);
    return find(key);
  }
  // The last one first. Not in a read section: releases call back into core and may wait.
  void release_all(flagos_device_t* device) {
    while (true) {
      Kept last;
      {
        std::lock_guard lock(mutex_);
        if (kept_.empty()) return;
        last = kept_.back();
        kept_.pop_back();
      }
      last.release(device, last.attachment);
    }
  }

 private:
  struct Kept {
    const void* key;
    void* attachment;
    flagos_attachment_release_t release;
  };
  void* find(const void* key) const {
    for (const Kept& kept : kept_)
      if (kept.key == key) return kept.attachment;
    return nullptr;
  }

  std::mutex mutex_;
  std::vector<Kept> kept_;
};

}  // namespace flagos::core
