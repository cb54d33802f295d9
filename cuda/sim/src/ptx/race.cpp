#include "race.h"

#include <algorithm>
#include <new>

namespace ptx {

uint32_t Clock::blockOf(uint32_t serial) const {
  auto after = std::upper_bound(blocks.begin(), blocks.end(), std::make_pair(serial, UINT32_MAX));
  return after == blocks.begin() ? UINT32_MAX : std::prev(after)->second;
}

Cells::Cells(uint64_t bytes) : pages_((bytes + kPageBytes - 1) / kPageBytes) {}

Cells::~Cells() {
  for (Page &page : pages_) {
    std::free(page.words);
    std::free(page.bytes);
  }
}

void Cells::make(Page &page) {
  page.words = static_cast<Cell *>(std::calloc(kPageBytes / 4, sizeof(Cell)));
  if (page.words == nullptr) throw std::bad_alloc();
  memory_ += kPageBytes / 4 * sizeof(Cell);
}

void Cells::divide(Page &page) {
  page.bytes = static_cast<Cell *>(std::calloc(kPageBytes, sizeof(Cell)));
  if (page.bytes == nullptr) throw std::bad_alloc();
  memory_ += kPageBytes * sizeof(Cell);
  if (page.words == nullptr) return;
  for (unsigned i = 0; i < kPageBytes; i++) page.bytes[i] = page.words[i / 4];
  std::free(page.words);
  page.words = nullptr;
  memory_ -= kPageBytes / 4 * sizeof(Cell);
}

}  // namespace ptx
