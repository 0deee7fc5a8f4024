"""The clips: what a detector of motion sees in them, and how they repeat."""

import os
from itertools import pairwise

import av
import numpy as np
import pytest

from clients.simulator.clips import ClipSpec, load_video, prepare, prepare_audio
from servers.dvrserver.motion.detector import Detector, Settings
from servers.wire.h264 import IDR, PPS, SLICE, SPS, split

SUB = {"width": 352, "height": 288, "fps": 10, "kbps": 300, "loop_s": 8}


@pytest.fixture(scope="module")
def sub_clips(clips_dir):
    specs = [ClipSpec(**SUB, walkers=walkers, scene=scene) for scene in range(4) for walkers in (False, True)]
    clips = prepare(specs, clips_dir)
    return [(clips[2 * scene], clips[2 * scene + 1]) for scene in range(4)]


def lumas(clips):
    """The decoded pictures of clips, one after the other."""
    decoder = av.CodecContext.create("h264", "r")
    for clip in clips:
        for frame in clip.frames:
            stream = b"".join(b"\0\0\0\1" + bytes(unit) for unit in split(frame.data))
            for picture in decoder.decode(av.Packet(stream)):
                yield picture.to_ndarray()[: picture.height]


def motion_in(clips):
    """What the recorder's detector says, five times a second."""
    detector = Detector(Settings())
    looks = [detector.look(luma, number * 100_000) for number, luma in enumerate(lumas(clips)) if number % 2 == 0]
    assert not any(verdict.light for verdict in looks)
    return [verdict.active for verdict in looks]


@pytest.mark.parametrize("scene", range(4))
def test_no_motion_is_seen_in_the_quiet_clip_however_often_it_repeats(sub_clips, scene):
    assert not any(motion_in([sub_clips[scene][0]] * 3))


@pytest.mark.parametrize("scene", range(4))
def test_motion_is_seen_all_the_time_in_the_motion_clip_and_starts_at_once(sub_clips, scene):
    quiet, motion = sub_clips[scene]
    seen = motion_in([quiet, motion, motion])
    start = 8 * 5
    assert not any(seen[:start])
    assert all(seen[start + 3 :])


def test_rest_is_seen_soon_after_motion_has_ended(sub_clips):
    quiet, motion = sub_clips[0]
    seen = motion_in([quiet, motion, quiet])
    assert all(seen[8 * 5 + 3 : 2 * 8 * 5])
    assert not any(seen[2 * 8 * 5 + 5 * 5 :])  # two seconds of holding and three at most in which traces fade


def test_noise_is_fresh_in_every_picture(sub_clips):
    pictures = list(lumas([sub_clips[0][0]]))
    assert all((a != b).mean() > 0.02 for a, b in pairwise(pictures))


def test_clips_of_one_stream_follow_each_other_at_any_key_frame(sub_clips):
    for quiet, motion in sub_clips:
        assert quiet.format == motion.format
        assert (quiet.format.width, quiet.format.height, quiet.fps) == (352, 288, 10)
        assert len(quiet.frames) == len(motion.frames) == 80
        for clip in (quiet, motion):
            assert [number for number, frame in enumerate(clip.frames) if frame.key] == list(range(0, 80, 10))


def test_access_units_are_whole_with_parameter_sets_at_key_frames_and_one_slice(sub_clips):
    for frame in sub_clips[0][1].frames:
        kinds = [unit[0] & 31 for unit in split(frame.data)]
        assert kinds == ([SPS, PPS, IDR] if frame.key else [SLICE])


def test_the_bit_rate_is_what_was_asked_for(clips_dir):
    specs = [
        ClipSpec(width=1280, height=720, fps=25, kbps=2000, loop_s=2, walkers=walkers) for walkers in (False, True)
    ]
    for clip in prepare(specs, clips_dir):
        kbps = sum(len(frame.data) for frame in clip.frames) * 8 / 1000 / 2
        assert 0.75 * 2000 < kbps < 1.35 * 2000


def test_a_clip_is_rendered_once(clips_dir, sub_clips):
    spec = ClipSpec(**SUB, walkers=False)
    path = clips_dir / spec.file_name
    os.utime(path, (1, 1))
    assert prepare([spec], clips_dir)[0] == load_video(path)
    assert path.stat().st_mtime == 1
    assert ClipSpec(**{**SUB, "kbps": 301}, walkers=False).file_name != spec.file_name


@pytest.mark.parametrize("damage", [b"", b"not a clip", b"\0\0\0\x20ftypisom"])
def test_a_damaged_clip_is_rendered_anew(tmp_path, damage):
    spec = ClipSpec(width=64, height=64, fps=5, kbps=50, loop_s=2, walkers=False)
    (tmp_path / spec.file_name).write_bytes(damage)
    assert len(prepare([spec], tmp_path)[0].frames) == 10


def test_sound_loops_without_a_click(clips_dir):
    sound = prepare_audio(clips_dir)
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata, decoder.sample_rate = sound.format.config, sound.format.sample_rate
    decoder.layout = "mono"
    played = [
        picture.to_ndarray().reshape(-1)
        for data in (*sound.frames, *sound.frames[:10])
        for picture in decoder.decode(av.Packet(data))
    ]
    wave = np.concatenate(played[3:])
    assert np.abs(wave).max() > 0.02
    assert np.abs(np.diff(wave)).max() < 0.03
