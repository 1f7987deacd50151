; The beat guest: a machine that boots in a fraction of a second and keeps a diary on its disk.
;
; At every beat it reads the head sector, writes one record into the next slot of a ring, rewrites the head with the same record, and
; only then prints the record on the serial port. SeaBIOS never negotiates the flush feature of virtio-blk, so QEMU makes each write
; durable before it answers: a printed record is a record that the disk must still hold.
;
;   VMEDIC-BEAT seq=%08x n=%08x boot=%016x prev=%016x vm=%032x
;     seq   its place in the diary: that of the head before it, plus one
;     n     its place in this boot's part of it, from 1
;     boot  an id drawn at power-on, from the clock, the cycle counter and the timer
;     prev  the boot id that the head held just before this beat (zeros: the disk was new)
;     vm    the machine's UUID, as its firmware was told
;
; So n > 1 with prev != boot means that somebody else wrote in between: the guest itself has seen the second writer.
;
;   nasm -f bin beat.asm -o beat.bin        the committed beat.hex is this, in hexadecimal
bits 16
org 0x7c00

head_sector     equ 8                   ; keep these in step with layout.ts
ring_sector     equ 64
code_sectors    equ 4
head            equ 0x9000              ; where the head is read to
at_seq          equ 16                  ; where the fields of a record begin
at_n            equ 27
at_boot         equ 41
at_prev         equ 63
at_vm           equ 83
ticks           equ 0x046c              ; the BIOS counts timer ticks here, 18.2 per second, and starts over at midnight

start:
        cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, start
        sti
        cld
        mov     [drive], dl
        mov     ax, 0x4200              ; the rest of the code follows the boot sector
        mov     cx, code_sectors - 1
        mov     ebx, 1
        mov     di, start + 512
        call    disk
        jnc     begin
        jmp     $

; ax = 0x4200 read or 0x4300 write; cx sectors from ebx on; di = where in memory. Carry means that it failed.
disk:
        mov     [packet.count], cx
        mov     [packet.memory], di
        mov     [packet.sector], ebx
        mov     dl, [drive]
        mov     si, packet
        int     0x13
        ret

; Prints from si up to and including a line feed.
print:
        lodsb
        mov     bl, al
        mov     dx, 0x3fd
.busy:  in      al, dx
        test    al, 0x20
        jz      .busy
        mov     dl, 0xf8
        mov     al, bl
        out     dx, al
        cmp     al, 10
        jne     print
        ret

packet: db      16, 0
.count: dw      0
.memory: dw     0, 0
.sector: dd     0, 0
drive:  db      0

        times   0x1e0 - ($ - $$) db 0
; What the builder sets (layout.ts): the interval in ticks, the ring's size less one (a power of two), how many beats after a
; power-on to act, and how: 1 power off, 2 panic, 3 reset.
interval: dw    18
ring_mask: dd   0xfff
act_after: dd   0
act_how: db     0
        times   510 - ($ - $$) db 0
        dw      0xaa55

begin:
        ; The boot id: day, hour, minute and second of the clock, then cycles stirred with the timer's own count, so that two
        ; machines powered on in one second still differ.
        mov     ah, 4
        int     0x1a
        mov     [boot_id + 3], dl
        mov     ah, 2
        int     0x1a
        mov     [boot_id + 2], ch
        mov     [boot_id + 1], cl
        mov     [boot_id], dh
        mov     eax, [boot_id]
        mov     di, record + at_boot
        call    hex32
        xor     al, al                  ; latch counter 0
        out     0x43, al
        in      al, 0x40
        mov     bl, al
        in      al, 0x40
        mov     bh, al
        shl     ebx, 16
        rdtsc
        xor     eax, ebx
        call    hex32
        ; The machine's UUID: entry 2 of QEMU's firmware configuration.
        mov     dx, 0x510
        mov     ax, 2
        out     dx, ax
        inc     dx
        mov     di, record + at_vm
        mov     cx, 16
.uuid:  in      al, dx
        call    hex8
        loop    .uuid

beat:
        mov     ax, 0x4200
        mov     cx, 1
        mov     ebx, head_sector
        mov     di, head
        call    disk
        jc      failed
        xor     eax, eax
        mov     di, record + at_prev
        mov     cx, 16
        cmp     dword [head], 'VMED'
        je      .diary
        mov     al, '0'                 ; a new disk
        rep     stosb
        xor     eax, eax
        jmp     .next
.diary: mov     si, head + at_boot
        rep     movsb
        mov     si, head + at_seq
        call    parse
.next:  inc     eax
        mov     [seq], eax
        mov     di, record + at_seq
        call    hex32
        mov     eax, [n]
        inc     eax
        mov     di, record + at_n
        call    hex32
        ; The slot first and the head last: a power cut in between leaves a slot that no head vouches for.
        mov     ebx, [seq]
        and     ebx, [ring_mask]
        add     ebx, ring_sector
        call    store
        jc      failed
        mov     ebx, head_sector
        call    store
        jc      failed
        inc     dword [n]
        mov     si, record
        call    print
        mov     eax, [n]
        cmp     eax, [act_after]
        je      act

pause:  ; Changes of the tick are counted rather than times compared, so that midnight is a tick like any other.
        mov     cx, [interval]
.same:  mov     eax, [ticks]
.wait:  sti
        hlt
        cmp     eax, [ticks]
        je      .wait
        loop    .same
        jmp     beat

failed: mov     si, io_error
        call    print
        jmp     pause

store:  mov     ax, 0x4300
        mov     cx, 1
        mov     di, record
        jmp     disk

act:    mov     al, [act_how]
        cmp     al, 2
        ja      .reset
        je      .panic
        mov     dx, 0x604               ; the power management control of QEMU's pc machine, where SeaBIOS puts it
        mov     ax, 0x2000
        out     dx, ax
        jmp     pause
.panic: mov     dx, 0x505               ; pvpanic: the domain needs a panic device
        mov     al, 1
        out     dx, al
        jmp     pause
.reset: mov     dx, 0xcf9
        mov     al, 6
        out     dx, al
        jmp     pause

hex32:  ; eax -> 8 digits at di, which moves on
        mov     esi, eax
        mov     bp, 4
.byte:  rol     esi, 8
        mov     ax, si
        call    hex8
        dec     bp
        jnz     .byte
        ret

hex8:   ; al -> 2 digits at di, which moves on; ah is lost
        aam     16                      ; ah = high digit, al = low digit
        xchg    al, ah
        call    .digit
        mov     al, ah
.digit: cmp     al, 10
        jb      .decimal
        add     al, 'a' - '0' - 10
.decimal:
        add     al, '0'
        stosb
        ret

parse:  ; 8 digits at si -> eax
        xor     ebx, ebx
        mov     cx, 8
.digit: lodsb
        sub     al, '0'
        cmp     al, 9
        jbe     .decimal
        sub     al, 'a' - '0' - 10
.decimal:
        shl     ebx, 4
        or      bl, al
        loop    .digit
        mov     eax, ebx
        ret

boot_id: dd     0
seq:    dd      0
n:      dd      0
io_error: db    'VMEDIC-IO-ERROR', 10

        times   (code_sectors - 1) * 512 - ($ - $$) db 0
record: db      'VMEDIC-BEAT seq=00000000 n=00000000 boot=0000000000000000 prev=0000000000000000'
        db      ' vm=00000000000000000000000000000000', 10
        times   code_sectors * 512 - ($ - $$) db 0
